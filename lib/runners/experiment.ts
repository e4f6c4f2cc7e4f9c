/** The main entry: checks the configuration and the data, prepares the output folder, trains, evaluates, writes the results. */
import { existsSync } from "node:fs";
import { arch, platform } from "node:process";
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { toSnake } from "../config/python.js";
import { type CheckedPair, checkDataset } from "../data/check.js";
import { discover } from "../data/discover.js";
import type { Splits } from "../data/split.js";
import { CellsamError } from "../errors.js";
import { EventChannel, type TrainingEvent } from "../events.js";
import { readJson, writeJson } from "../monitor/json.js";
import { Log } from "../monitor/log.js";
import { loadEngine } from "../native.js";
import { type Device, openSession, openStoreWriter, type Session } from "../session.js";
import type { Strategy } from "../strategies/strategy.js";
import { TrainValSplitStrategy } from "../strategies/trainValSplit.js";
import { packageVersion } from "../version.js";
import { resolveDevice } from "./device.js";
import { splitTiles, trainFold } from "./fold.js";
import { openModel } from "./model.js";
import { OutputTree } from "./outputTree.js";
import { type FoldResult, writeResults } from "./results.js";
import { checkInputs, newRunState, type RunState, readRunState, writeRunState } from "./resume.js";
import { fileHash, storeKey, type TileStore, tileStore } from "./tiles.js";

const logger = "cellsam.runner";

export interface RunnerOptions {
  /** Goes on with a stopped or killed run of the same configuration; starts anew where nothing was saved yet. */
  resume?: boolean;
  /** Replaces an earlier experiment of the same name. */
  overwrite?: boolean;
  /** Aborting finishes the step, saves, and rejects `run` with the signal's reason. */
  signal?: AbortSignal;
  /** Decides the splits instead of the configured strategy. */
  strategy?: Strategy;
  /** Opens the model; the engine's own by default. */
  openSession?: typeof openSession;
  openStoreWriter?: typeof openStoreWriter;
}

export class ExperimentRunner {
  readonly config: ExperimentConfig;
  readonly tree: OutputTree;
  readonly #options: RunnerOptions;
  readonly #strategy: Strategy;
  readonly #channel = new EventChannel<TrainingEvent>();
  #running: Promise<FoldResult[]> | undefined;
  #logFile: Log | undefined;
  /** Warnings from before there was a log file. */
  readonly #unlogged: string[] = [];

  /** @throws CellsamError ERR_CONFIG */
  constructor(config: ExperimentInput, options: RunnerOptions = {}) {
    this.config = new ExperimentConfig(config);
    this.#options = options;
    this.tree = new OutputTree(this.config.outputDir, this.config.outputName);
    const { valRatio, splitSeed, splits } = this.config;
    this.#strategy = options.strategy ?? new TrainValSplitStrategy({ valRatio, randomSeed: splitSeed, splits });
  }

  /** Runs the experiment, once; answers one result per split. */
  run(): Promise<FoldResult[]> {
    this.#running ??= this.#execute();
    return this.#running;
  }

  /** Starts the experiment if need be and tells its progress until the end; the loop throws what `run` would reject with. */
  events(): AsyncIterable<TrainingEvent> {
    this.run().catch(() => undefined);
    return this.#channel;
  }

  async #execute(): Promise<FoldResult[]> {
    try {
      const results = await this.#experiment();
      this.#channel.end();
      return results;
    } catch (error) {
      const stopped = this.#options.signal?.aborted && error === this.#options.signal.reason;
      if (stopped) this.#logFile?.info(logger, "experiment stopped; it can be resumed");
      else this.#logFile?.error(logger, error instanceof Error ? (error.stack ?? error.message) : String(error));
      this.#channel.fail(error);
      throw error;
    }
  }

  async #experiment(): Promise<FoldResult[]> {
    const { config, tree } = this;
    const { resume, signal } = this.#options;
    signal?.throwIfAborted();
    // A machine that is not set up, or a taken name, is told before the data are read.
    if (!this.#options.openSession) loadEngine();
    const { imgPath, maskPath, weights, splits: splitsFile } = config;
    await tree.check(this.#options, { imgPath, maskPath, weights, splits: splitsFile });
    const pairs = await this.#data();
    const key = await storeKey(pairs, config, packageVersion);
    const saved =
      resume && existsSync(tree.runState) ? await readRunState(tree.runState, tree.resume, config, packageVersion) : undefined;
    if (saved) {
      checkInputs(saved, { storeKey: key });
      if (saved.status === "finished") return saved.results;
      this.#openLog();
    }
    const device = await resolveDevice(config.device, (message) => this.#warn(message));
    const weightsHash = weights && (await this.#weightsHash(weights));
    if (saved) checkInputs(saved, { weightsHash, device, ...(await this.#splitsOnDisk()) });
    const splits = saved?.splits ?? (await this.#strategy.prepareSplits(pairs.map(({ stem }) => stem)));
    const state = saved ?? newRunState(config, packageVersion, { storeKey: key, weightsHash, device, splits });
    const store = await tileStore(pairs, config, {
      cacheDir: `${config.outputDir}/.tiles`,
      key,
      openStoreWriter: this.#options.openStoreWriter ?? openStoreWriter,
      onProgress: (done, total) => this.#emit({ type: "progress", task: "store", done, total }),
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
    let session = state.fold <= splits.length ? await this.#openModel(device) : undefined;
    try {
      signal?.throwIfAborted();
      if (!resumed) {
        if (this.#options.overwrite) await tree.clear();
        await writeRunState(tree.runState, state);
      }
      if (!existsSync(tree.config)) await this.#writeConfig(device, state.created);
      await writeJson(tree.splits, splits.length === 1 ? splits[0] : splits);
      const log = this.#openLog();
      const started = Date.now();
      const how = resumed ? "resumed" : "started";
      log.info(logger, `${how}: ${config.outputName}, ${pairs.length} images, device ${device}, version ${packageVersion}`);
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
      };
      for (const [i, split] of splits.entries()) {
        if (i + 1 < state.fold) continue;
        const own = session ?? (await this.#openModel(device));
        session = undefined;
        await trainFold(i + 1, split, own, run);
      }
      state.status = "finished";
      await writeResults(tree, state.results);
      await writeRunState(tree.runState, state);
      log.info(logger, `finished in ${((Date.now() - started) / 1000).toFixed(1)} s`);
      return state.results;
    } finally {
      await session?.dispose();
    }
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

  async #data(): Promise<CheckedPair[]> {
    const { imgPath, maskPath, binaryMasks } = this.config;
    const { signal } = this.#options;
    const found = await discover({ imgPath, maskPath });
    const { pairs } = await checkDataset(found.pairs, {
      binaryMasks,
      problems: found.problems,
      onProgress: (done, total) => this.#emit({ type: "progress", task: "check", done, total }),
      ...(signal && { signal }),
    });
    return pairs;
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
    this.#channel.push(event);
  }
}
