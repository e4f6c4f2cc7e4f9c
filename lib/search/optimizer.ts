/** The hyper-parameter search: trials from a space, run in processes of their own, ranked by one metric of their results. */
import { availableParallelism } from "node:os";
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { fromSnake, isPlain } from "../config/python.js";
import { type SearchInput, type SearchOptions, searchOptions } from "../config/search.js";
import { HyperparameterSpace, parametersOf, type SpaceInput } from "../config/space.js";
import { CellsamError } from "../errors.js";
import { EventChannel } from "../events.js";
import { writeJson } from "../monitor/json.js";
import { Log } from "../monitor/log.js";
import { writeSearchReport } from "../report/searchReport.js";
import { packageVersion } from "../version.js";
import type { SearchEvent } from "./events.js";
import { Journal } from "./journal.js";
import { trialEntry } from "./process.js";
import { makePruner } from "./pruner.js";
import { type SearchResult, searchResult } from "./results.js";
import { runTrials } from "./run.js";
import { type SearchPlan, SearchTree } from "./searchTree.js";
import { gridTrials, type Hyperparameters, randomTrials, type Trial, type TrialList, trialConfig } from "./trials.js";

const logger = "cellsam.search";

export interface SearchRunOptions {
  /** Goes on with a stopped or killed search; starts anew where there is none. More random trials than before may be asked for. */
  resume?: boolean;
  /** Replaces an earlier search in the same folder. */
  overwrite?: boolean;
  /** Aborting lets all trials save, and rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Program of a trial's process; the package's own by default. */
  trialProgram?: string;
}

/** Accepts Python's snake_case names too. */
export interface OptimizerOptions extends SearchInput, SearchRunOptions {
  baseConfig: ExperimentInput;
  paramSpace: SpaceInput;
}

export class HyperparameterOptimizer {
  readonly baseConfig: ExperimentConfig;
  readonly paramSpace: HyperparameterSpace;
  readonly options: SearchOptions & { seed: number };
  readonly #run: SearchRunOptions;
  #channel = new EventChannel<SearchEvent>();
  #busy = false;

  /** @throws CellsamError ERR_CONFIG */
  constructor(input: OptimizerOptions) {
    const { baseConfig, paramSpace, resume, overwrite, signal, trialProgram, ...search } = named(input);
    this.baseConfig = new ExperimentConfig(baseConfig);
    this.paramSpace = new HyperparameterSpace(paramSpace);
    const options = searchOptions(search);
    this.options = { ...options, seed: options.seed ?? this.baseConfig.seed };
    this.#run = { resume, overwrite, signal, trialProgram } as SearchRunOptions;
  }

  /** Every combination once. @throws CellsamError ERR_SEARCH_SIZE above maxTrials */
  generateGridSearchConfigs(): Trial[] {
    return this.#grid().trials;
  }

  /** `nTrials` different combinations drawn with the seed; fewer when the space holds fewer. */
  generateRandomSearchConfigs(nTrials: number): Trial[] {
    return this.#random(nTrials).trials;
  }

  runGridSearch(): Promise<SearchResult> {
    return this.#search("grid", () => this.#grid());
  }

  /** @throws CellsamError ERR_SEARCH_FAILED when no trial completed; ERR_SEARCH_SIZE above maxTrials */
  runRandomSearch(trials: number | { nTrials: number } | { n_trials: number }): Promise<SearchResult> {
    const { nTrials } = (isPlain(trials) ? fromSnake(trials) : { nTrials: trials }) as { nTrials: number };
    return this.#search("random", () => this.#random(nTrials));
  }

  /** Progress of the search that runs or is started next, until its end. */
  events(): AsyncIterable<SearchEvent> {
    return this.#channel;
  }

  #grid(): TrialList {
    return gridTrials(this.baseConfig, this.paramSpace, this.options.maxTrials);
  }

  #random(nTrials: number): TrialList {
    const { maxTrials, seed } = this.options;
    if (nTrials > maxTrials)
      throw new CellsamError(
        "ERR_SEARCH_SIZE",
        `${nTrials} trials are more than maxTrials (${maxTrials}); raise it if you mean it`,
      );
    return randomTrials(this.baseConfig, this.paramSpace, nTrials, seed);
  }

  async #search(kind: SearchPlan["kind"], generate: () => TrialList): Promise<SearchResult> {
    if (this.#busy) throw new CellsamError("ERR_STATE", "this optimizer is already searching");
    this.#busy = true;
    const channel = this.#channel;
    try {
      const result = await this.#execute(kind, generate(), (event) => channel.push(event));
      channel.end();
      return result;
    } catch (error) {
      channel.fail(error);
      throw error;
    } finally {
      this.#busy = false;
      this.#channel = new EventChannel<SearchEvent>();
    }
  }

  async #execute(
    kind: SearchPlan["kind"],
    { trials, notes }: TrialList,
    emit: (event: SearchEvent) => void,
  ): Promise<SearchResult> {
    const { options, baseConfig } = this;
    const { signal, trialProgram = trialEntry } = this.#run;
    signal?.throwIfAborted();
    if (!trialProgram) throw new CellsamError("ERR_INTERNAL", "dist/search/trialProcess.js is missing; run `npm run build`");
    const parameters = parametersOf(this.paramSpace);
    const paths = parameters.map(({ path }) => path);
    const pruner = makePruner(options, baseConfig.strategy, paths);
    const tree = new SearchTree(options.outputDir, baseConfig.outputName);
    await tree.claim();
    let journal: Journal | undefined;
    try {
      const plan = await tree.open(this.#plan(kind), this.#run);
      const opened = await Journal.open(tree.journal);
      journal = opened.journal;
      const log = new Log(tree.log);
      const going = opened.lines.length > 0 ? "resumed" : "started";
      log.info(
        logger,
        `${kind} search ${going}: ${trials.length} trials, ${options.maxParallel} at a time, ${options.metricName}.${options.metricKey} (${options.mode}), version ${packageVersion}`,
      );
      if (pruner) log.info(logger, pruner.rule);
      for (const message of [...notes, ...(pruner?.notes ?? [])]) {
        log.warning(logger, message);
        emit({ type: "notice", level: "warning", message });
      }
      const run = { tree, trials, options, threads: plan.threads, entry: trialProgram, journal, lines: opened.lines };
      const ended = await runTrials({ ...run, pruner, log, emit, signal }).catch((error: unknown) => {
        if (signal?.aborted) log.info(logger, "search stopped; it can be resumed");
        else log.error(logger, error instanceof Error ? (error.stack ?? error.message) : String(error));
        throw error;
      });
      const named = trials.map((trial) => ({
        ...trial,
        config: { ...trial.config, outputName: tree.trialName(trial.trialId) },
      }));
      const names = parameters.map(({ name }) => name);
      const result = searchResult(named, ended, options, names, pruner?.rule ?? null);
      await writeJson(tree.results, result);
      await writeJson(tree.best, result.best_trial.hyperparameters);
      await writeSearchReport(tree.root).catch((error: Error) =>
        log.warning(logger, `the report could not be written: ${error.message}`),
      );
      log.info(logger, `finished: trial ${result.best_trial.trial_id} is the best with ${result.best_metric_value}`);
      return result;
    } finally {
      await journal?.close();
      await tree.release();
    }
  }

  #plan(kind: SearchPlan["kind"]): SearchPlan {
    const { metricName, metricKey, mode, seed, pruner, eta, minEpochs, minFolds, maxParallel, outputDir } = this.options;
    // With one trial at a time it has all cores; several share them. Fixed once, so that every trial computes alike.
    const share = maxParallel > 1 ? Math.max(1, Math.floor(availableParallelism() / maxParallel)) : 0;
    const ranking = { metricName, metricKey, mode, seed, pruner, eta, minEpochs, minFolds };
    const search = { baseConfig: { ...this.baseConfig, outputDir }, paramSpace: this.paramSpace, ...ranking };
    return { format: 1, package: packageVersion, kind, threads: this.baseConfig.threads || share, search };
  }

  /** The base configuration with the settings of a trial, e.g. to train the best one with another strategy. */
  configOf(hyperparameters: Hyperparameters, changes: Partial<ExperimentInput> = {}): ExperimentInput {
    const chosen = parametersOf(this.paramSpace).filter(({ name }) => name in hyperparameters);
    const values = chosen.map(({ name }) => hyperparameters[name] as never);
    return { ...trialConfig(this.baseConfig, chosen, values).config, ...changes };
  }
}

/** Options in camelCase; those that are objects of their own keep theirs. */
function named(input: OptimizerOptions): OptimizerOptions {
  const { signal, ...rest } = input;
  return { ...(fromSnake(rest) as OptimizerOptions), ...(signal && { signal }) };
}

/** Random search in one call. */
export function runRandomSearch(nTrials: number, options: OptimizerOptions): Promise<SearchResult> {
  return new HyperparameterOptimizer(options).runRandomSearch(nTrials);
}

/** Grid search in one call. */
export function runGridSearch(options: OptimizerOptions): Promise<SearchResult> {
  return new HyperparameterOptimizer(options).runGridSearch();
}
