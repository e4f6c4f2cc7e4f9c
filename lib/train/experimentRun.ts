/** The work of ExperimentRunner: checks the data, prepares the output folder, trains, evaluates, writes the results. */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { arch, platform } from "node:process";
import type { ExperimentConfig } from "../config/experiment.js";
import { weightsFile } from "../config/shippedWeights.js";
import { stageOptions } from "../config/stageOptions.js";
import type { CheckedPair } from "../data/check.js";
import { type Dataset, loadDataset } from "../data/dataset.js";
import { type DuplicatePair, duplicateSets } from "../data/duplicates.js";
import type { Splits } from "../data/split.js";
import { resolveDevice } from "../engine/device.js";
import { loadEngine } from "../engine/native.js";
import { type Device, openSession, type Session } from "../engine/session.js";
import { openStoreWriter } from "../engine/storeWriter.js";
import { CellsamError } from "../errors.js";
import type { TrainingEvent } from "../events.js";
import { fileHash } from "../fileHash.js";
import { readJson, writeJson } from "../monitor/json.js";
import { Log } from "../monitor/log.js";
import { openModel } from "../predict/model.js";
import { writeExperimentReport } from "../report/experimentReport.js";
import { toSnake } from "../spelling.js";
import { DrawnStrategy, leftOutNotes, preparedSplits, type Strategy } from "../strategies/strategy.js";
import { packageVersion } from "../version.js";
import { duplicateReport, duplicatesOf, duplicateWarning } from "./duplicates.js";
import { splitTiles, trainFold } from "./fold.js";
import { lockExperiment } from "./lock.js";
import type { RunnerOptions } from "./options.js";
import type { OutputTree } from "./outputTree.js";
import { type FoldResult, failedResult, writeResults } from "./results.js";
import { beginFold, checkInputs, newRunState, type RunState, readRunState, writeRunState } from "./resume.js";
import { RunMonitor } from "./runMonitor.js";
import { storeKey, type TileStore, tileStore } from "./tiles.js";

const logger = "cellsam.runner";

/** What a runner was made for. */
export interface Experiment {
  config: ExperimentConfig;
  tree: OutputTree;
  options: RunnerOptions;
  strategy: Strategy;
  emit: (event: TrainingEvent) => void;
}

export class ExperimentRun {
  readonly config: ExperimentConfig;
  readonly tree: OutputTree;
  readonly #options: RunnerOptions;
  readonly #strategy: Strategy;
  readonly #tell: (event: TrainingEvent) => void;
  readonly #monitor: RunMonitor;
  #logFile: Log | undefined;
  #unlock: (() => Promise<void>) | undefined;
  /** Warnings from before there was a log file. */
  readonly #unlogged: string[] = [];

  constructor({ config, tree, options, strategy, emit }: Experiment) {
    this.config = config;
    this.tree = tree;
    this.#options = options;
    this.#strategy = strategy;
    this.#tell = emit;
    this.#monitor = new RunMonitor(config, dirname(tree.log));
  }

  /** Once. */
  async execute(): Promise<FoldResult[]> {
    try {
      return await this.#experiment();
    } catch (error) {
      const stopped = this.#options.signal?.aborted && error === this.#options.signal.reason;
      if (stopped) this.#logFile?.info(logger, "experiment stopped; it can be resumed");
      else this.#logFile?.error(logger, error instanceof Error ? (error.stack ?? error.message) : String(error));
      throw error;
    } finally {
      await this.#unlock?.();
      this.#monitor.end();
    }
  }

  async #experiment(): Promise<FoldResult[]> {
    const { config, tree } = this;
    const { resume, signal } = this.#options;
    signal?.throwIfAborted();
    // A machine that is not set up, or a taken name, is told before the data are read.
    if (!this.#options.openSession) loadEngine();
    const { imgPath, maskPath, splits: splitsFile, groups } = config;
    const weights = config.weights && weightsFile(config.weights);
    this.#unlock = await lockExperiment(config.outputDir, config.outputName);
    await tree.check(this.#options, { imgPath, maskPath, weights, splits: splitsFile, groups });
    const { pairs, trainingOnly } = await this.#data();
    const key = await storeKey(pairs, config, packageVersion);
    const saved =
      resume && existsSync(tree.runState) ? await readRunState(tree.runState, tree.resume, config, packageVersion) : undefined;
    if (saved) {
      checkInputs(saved, { storeKey: key });
      const good = saved.results.filter(({ error }) => error === null);
      if (saved.status === "finished" && good.length === saved.results.length) return saved.results;
      // Resuming a finished run tries the folds again that failed.
      if (saved.status === "finished") Object.assign(saved, { status: "running", results: good });
      this.#openLog();
    }
    const device = await resolveDevice(config.device, (message) => this.#warn(message));
    const weightsHash = weights && (await this.#weightsHash(weights));
    if (saved) checkInputs(saved, { weightsHash, device, ...(await this.#splitsOnDisk()) });
    const own = pairs.map(({ stem }) => stem).filter((stem) => !trainingOnly.includes(stem));
    const duplicates = saved?.duplicates ?? (await this.#duplicates(pairs));
    const splits = saved?.splits ?? (await this.#draw(own, trainingOnly, duplicates));
    const state = saved ?? newRunState(config, packageVersion, { storeKey: key, weightsHash, device, splits }, duplicates);
    const store = await tileStore(pairs, config, {
      cacheDir: `${config.outputDir}/.tiles`,
      key,
      openStoreWriter: this.#options.openStoreWriter ?? openStoreWriter,
      onProgress: (done, total) => this.#emit({ type: "progress", task: "store", done, total }),
      onWarning: (message) => this.#warn(message),
      signal,
    });
    for (const split of splits) splitTiles(store, split);
    return this.#train(pairs, store, state, saved !== undefined);
  }

  /** Makes the output folder and trains the folds that are left. */
  async #train(pairs: CheckedPair[], store: TileStore, state: RunState, resumed: boolean): Promise<FoldResult[]> {
    const { config, tree } = this;
    const { signal } = this.#options;
    const { splits, device } = state;
    // Whatever can be wrong with the model is found before an earlier experiment is removed.
    const left = splits.map((_, i) => i + 1).filter((fold) => state.results.every((result) => result.fold !== fold));
    let session = left.length > 0 ? await this.#openModel(device) : undefined;
    try {
      signal?.throwIfAborted();
      if (!resumed) {
        if (this.#options.overwrite && existsSync(tree.root)) {
          session = await this.#tryStages(session as Session, store, state);
          await tree.clear();
        }
        await writeRunState(tree.runState, state);
      }
      if (!existsSync(tree.config)) await this.#writeConfig(device, state.created);
      await writeJson(tree.splits, splits.length === 1 ? splits[0] : splits);
      const log = this.#openLog();
      const started = Date.now();
      const how = resumed ? "resumed" : "started";
      log.info(logger, `${how}: ${config.outputName}, ${pairs.length} images, device ${device}, version ${packageVersion}`);
      this.#monitor.begin();
      for (const { stem, notes } of pairs) for (const note of notes) log.info("cellsam.data", `${stem}: ${note}`);
      const run = {
        config,
        tree,
        folds: splits.length,
        strategy: this.#strategy.name,
        device,
        pairs,
        store,
        state,
        log,
        warn: (message: string) => this.#warn(message),
        emit: (event: TrainingEvent) => this.#emit(event),
        signal,
        lossWeights: this.#options.lossWeights,
      };
      await this.#reportDuplicates(state);
      for (const fold of left) {
        const split = splits[fold - 1] as Splits;
        if (state.fold !== fold) beginFold(state, fold);
        this.#emit({ type: "fold", fold, folds: splits.length, state: "begin" });
        try {
          const own = session ?? (await this.#openModel(device));
          session = undefined;
          await trainFold(fold, split, own, run);
        } catch (error) {
          // What stops a single training stays where it stopped, and can be resumed there.
          const stopped = signal?.aborted || (error as CellsamError).code === "ERR_DISPOSED";
          if (stopped || splits.length === 1) throw error;
          // What goes wrong after the result was taken, as the model is given back, takes nothing from it.
          if (state.results.some((result) => result.fold === fold))
            this.#warn(`fold ${fold} is finished, but then: ${error instanceof Error ? error.message : String(error)}`);
          else await this.#failed(fold, split, state, error);
        }
      }
      state.results.sort((a, b) => a.fold - b.fold);
      state.status = "finished";
      await writeResults(tree, state.results);
      await writeRunState(tree.runState, state);
      await writeExperimentReport(tree.root).catch((error: Error) =>
        this.#warn(`the report was not written: ${error.message}`),
      );
      this.#conclude(state, started);
      return state.results;
    } finally {
      await session?.dispose();
    }
  }

  /** Tells how it went. @throws CellsamError ERR_ALL_FOLDS_FAILED */
  #conclude({ results }: RunState, started: number): void {
    if (this.#strategy instanceof DrawnStrategy) this.#strategy.takeResults(results);
    const failed = results.filter(({ error }) => error !== null);
    if (failed.length === results.length) {
      const message = `all ${failed.length} folds failed, the first with: ${failed[0]?.error?.message}`;
      throw new CellsamError("ERR_ALL_FOLDS_FAILED", message, { detail: { errors: failed.map(({ error }) => error) } });
    }
    const numbers = failed.map(({ fold }) => fold).join(", ");
    if (failed.length > 0)
      this.#warn(`finished, but ${failed.length} of ${results.length} folds failed: ${numbers}; --resume tries them again`);
    else this.#logFile?.info(logger, `finished in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  }

  /** Records a fold that failed; the others go on. */
  async #failed(fold: number, { train, val, test = [] }: Splits, state: RunState, error: unknown): Promise<void> {
    const code = error instanceof CellsamError ? error.code : "ERR_UNEXPECTED";
    const message = error instanceof Error ? error.message : String(error);
    this.#logFile?.error(logger, `fold ${fold} failed: ${error instanceof Error ? (error.stack ?? message) : message}`);
    const counts = { trainImages: train.length, valImages: val.length, testImages: test.length };
    const { device } = state;
    state.results.push(failedResult({ fold, strategy: this.#strategy.name, device, ...counts, error: { code, message } }));
    beginFold(state, fold + 1);
    await writeRunState(this.tree.runState, state);
    this.#emit({ type: "fold", fold, folds: state.splits.length, state: "failed", error: { code, message } });
  }

  async #draw(sources: string[], trainingOnly: string[], duplicates: DuplicatePair[]): Promise<Splits[]> {
    const known = { trainingOnly, ...(this.config.groupDuplicates && { duplicates: duplicateSets(duplicates) }) };
    const splits = await preparedSplits(this.#strategy, sources, known);
    for (const note of leftOutNotes(splits, trainingOnly)) this.#warn(note);
    return splits;
  }

  async #duplicates(pairs: CheckedPair[]): Promise<DuplicatePair[]> {
    if (!this.config.findDuplicates) return [];
    const onProgress = (done: number, total: number) => this.#emit({ type: "progress", task: "duplicates", done, total });
    return duplicatesOf(pairs, this.config, { signal: this.#options.signal, onProgress });
  }

  async #reportDuplicates({ duplicates, splits }: RunState): Promise<void> {
    if (!this.config.findDuplicates || existsSync(this.tree.nearDuplicates)) return;
    const report = duplicateReport(duplicates, splits, this.config.duplicateThreshold);
    const warning = duplicateWarning(report);
    if (warning) this.#warn(warning);
    await writeJson(this.tree.nearDuplicates, toSnake(report));
  }

  /** Begins every stage once, so that what is wrong with one is found while the old experiment still exists; answers a new model. */
  async #tryStages(session: Session, store: TileStore, { splits, device }: RunState): Promise<Session> {
    try {
      const { trainTiles } = splitTiles(store, splits[0] as Splits);
      for (const stage of this.config.stages) {
        await session.beginStage(stageOptions(this.config, stage, Math.ceil(trainTiles.length / this.config.batchSize)));
        await session.endStage();
      }
    } finally {
      await session.dispose();
    }
    return this.#openModel(device);
  }

  async #openModel(device: Device): Promise<Session> {
    const open = this.#options.openSession ?? openSession;
    const { session } = await openModel(this.config, { device, open, warn: (message) => this.#warn(message) });
    return session;
  }

  /** Opens the log, once, and writes what was to be told before there was one. */
  #openLog(): Log {
    if (this.#logFile) return this.#logFile;
    this.#logFile = new Log(this.tree.log, this.config.debug ? "DEBUG" : "INFO");
    this.#monitor.open(this.#logFile);
    for (const message of this.#unlogged.splice(0)) this.#logFile.warning(logger, message);
    return this.#logFile;
  }

  async #weightsHash(path: string): Promise<string> {
    try {
      return await fileHash(path);
    } catch (cause) {
      const message = `weights: ${path} cannot be read (${(cause as Error).message})`;
      throw new CellsamError("ERR_CONFIG", message, { cause, detail: { path } });
    }
  }

  async #data(): Promise<Dataset> {
    const { signal } = this.#options;
    const data = await loadDataset(this.config, {
      onProgress: (done, total) => this.#emit({ type: "progress", task: "check", done, total }),
      ...(signal && { signal }),
    });
    for (const note of data.notes) this.#warn(note);
    return data;
  }

  /** splits.json as it is now, to compare with the run's own; a missing one is written again. */
  async #splitsOnDisk(): Promise<{ splits?: Splits[] }> {
    if (!existsSync(this.tree.splits)) return {};
    const splits = await readJson<Splits | Splits[]>(this.tree.splits).catch(() => []);
    return { splits: Array.isArray(splits) ? splits : [splits] };
  }

  async #writeConfig(device: string, created: string): Promise<void> {
    const facts = { packageVersion, created, deviceUsed: device, platform: `${platform}-${arch}`, node: process.version };
    await writeJson(this.tree.config, toSnake({ ...this.config, strategy: this.#strategy.name, environment: facts }));
  }

  #warn(message: string): void {
    if (this.#logFile) this.#logFile.warning(logger, message);
    else this.#unlogged.push(message);
    this.#emit({ type: "notice", level: "warning", message });
  }

  #emit(event: TrainingEvent): void {
    this.#monitor.hear(event);
    this.#tell(event);
  }
}
