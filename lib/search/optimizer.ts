/**
 * The hyper-parameter search: trials from a space, ranked by one metric of their results. The code that runs them is loaded
 * when it starts.
 */
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { type SearchInput, type SearchOptions, searchOptions } from "../config/search.js";
import { HyperparameterSpace, parametersOf, type SpaceInput } from "../config/space.js";
import { CellsamError } from "../errors.js";
import { EventChannel } from "../events.js";
import { fromSnake, isPlain } from "../spelling.js";
import type { SearchEvent } from "./events.js";
import type { SearchResult } from "./results.js";
import type { SearchRunOptions } from "./searchRun.js";
import type { SearchPlan } from "./searchTree.js";
import { gridTrials, type Hyperparameters, randomTrials, type Trial, type TrialList, trialConfig } from "./trials.js";

/** Options of a search; names in snake_case are accepted too. */
export interface OptimizerOptions extends SearchInput, SearchRunOptions {
  baseConfig: ExperimentInput;
  paramSpace: SpaceInput;
}

/** Searches for the best settings: `new HyperparameterOptimizer({ baseConfig, paramSpace, outputDir }).runRandomSearch(20)`. */
export class HyperparameterOptimizer {
  readonly baseConfig: ExperimentConfig;
  readonly paramSpace: HyperparameterSpace;
  readonly options: SearchOptions & { seed: number };
  readonly #run: SearchRunOptions;
  #channel = new EventChannel<SearchEvent>();
  #busy = false;

  /** @throws CellsamError ERR_CONFIG */
  constructor(input: OptimizerOptions) {
    const { baseConfig, paramSpace, resume, retryFailed, overwrite, signal, trialProgram, ...search } = named(input);
    this.baseConfig = new ExperimentConfig(baseConfig);
    this.paramSpace = new HyperparameterSpace(paramSpace);
    const options = searchOptions(search);
    this.options = { ...options, seed: options.seed ?? this.baseConfig.seed };
    this.#run = { resume, retryFailed, overwrite, signal, trialProgram } as SearchRunOptions;
  }

  /** Every combination once. @throws CellsamError ERR_SEARCH_SIZE above maxTrials */
  generateGridSearchConfigs(): Trial[] {
    return this.#grid().trials;
  }

  /** `nTrials` different combinations drawn with the seed; fewer when the space holds fewer. */
  generateRandomSearchConfigs(nTrials: number): Trial[] {
    return this.#random(nTrials).trials;
  }

  /** Runs every combination. @throws CellsamError ERR_SEARCH_SIZE above maxTrials; ERR_SEARCH_FAILED when no trial completed */
  runGridSearch(): Promise<SearchResult> {
    return this.#search("grid", () => this.#grid());
  }

  /** @throws CellsamError ERR_SEARCH_FAILED when no trial completed; ERR_SEARCH_SIZE above maxTrials */
  runRandomSearch(trials: number | { nTrials: number } | { n_trials: number }): Promise<SearchResult> {
    const { nTrials } = (isPlain(trials) ? fromSnake(trials) : { nTrials: trials }) as { nTrials: number };
    return this.#search("random", () => this.#random(nTrials));
  }

  /** Events of the search that runs or is started next, until its end. */
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
      const trials = generate();
      const { runSearch } = await import("./searchRun.js");
      const { baseConfig, paramSpace, options } = this;
      const emit = (event: SearchEvent) => channel.push(event);
      const result = await runSearch({ ...this.#run, kind, baseConfig, paramSpace, options, emit }, trials);
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

  /** The base configuration with the settings of a trial, e.g. to train the best one with another strategy. */
  configOf(hyperparameters: Hyperparameters, changes: Partial<ExperimentInput> = {}): ExperimentInput {
    const chosen = parametersOf(this.paramSpace).filter(({ name }) => name in hyperparameters);
    const values = chosen.map(({ name }) => hyperparameters[name] as never);
    return { ...trialConfig(this.baseConfig, chosen, values).config, ...changes };
  }
}

/** The options with camelCase names. */
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
