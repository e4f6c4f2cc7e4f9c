/** The main entry: a checked configuration, and the one run of its experiment. The code of the run is loaded when it starts. */
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { poolSlots, type Slots } from "../config/pool.js";
import { EventChannel, type TrainingEvent } from "../events.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import type { Strategy } from "../strategies/strategy.js";
import { configuredStrategy } from "../strategies/table.js";
import type { RunnerOptions } from "./options.js";
import { OutputTree } from "./outputTree.js";
import { checkPooled } from "./pooled.js";
import type { FoldResult } from "./results.js";

const optionKeys = keysOf<RunnerOptions>({
  maxParallel: true,
  devices: true,
  launcher: true,
  queue: true,
  resume: true,
  overwrite: true,
  signal: true,
  strategy: true,
  lossWeights: true,
  notes: true,
  openSession: true,
  openStoreWriter: true,
});

/** One experiment: `new ExperimentRunner({ imgPath, maskPath, outputName }).run()`. */
export class ExperimentRunner {
  readonly config: ExperimentConfig;
  readonly tree: OutputTree;
  readonly #options: RunnerOptions;
  readonly #strategy: Strategy;
  readonly #slots: Slots;
  readonly #channel = new EventChannel<TrainingEvent>();
  #running: Promise<FoldResult[]> | undefined;

  /** @throws CellsamError ERR_CONFIG */
  constructor(config: ExperimentInput, options: RunnerOptions = {}) {
    checkKeys("ExperimentRunner", options, optionKeys);
    this.config = new ExperimentConfig(config);
    this.#options = options;
    this.tree = new OutputTree(this.config.outputDir, this.config.outputName);
    const { maxParallel, devices, launcher, queue } = options;
    this.#slots = poolSlots({ maxParallel, devices, launcher, queue });
    checkPooled(this.#slots, options);
    this.#strategy = options.strategy ?? configuredStrategy(this.config);
  }

  /**
   * Runs the experiment, once; later calls return the same promise. Resolves to one result per split.
   * @throws the signal's reason when it fires, after what `resume` needs was saved; CellsamError for what went wrong
   */
  run(): Promise<FoldResult[]> {
    this.#running ??= this.#execute();
    return this.#running;
  }

  /**
   * Starts the experiment if it does not run yet, and returns its events until the end. The loop throws what `run` rejects
   * with.
   */
  events(): AsyncIterable<TrainingEvent> {
    this.run().catch(() => undefined);
    return this.#channel;
  }

  async #execute(): Promise<FoldResult[]> {
    const channel = this.#channel;
    try {
      const { runExperiment } = await import("./run.js");
      const own = { config: this.config, tree: this.tree, slots: this.#slots };
      const experiment = { ...own, options: this.#options, strategy: this.#strategy };
      const results = await runExperiment(experiment, (event) => channel.push(event));
      channel.end();
      return results;
    } catch (error) {
      channel.fail(error);
      throw error;
    }
  }
}
