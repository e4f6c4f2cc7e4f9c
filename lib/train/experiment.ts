/** The main entry: a checked configuration, and the one run of its experiment. What runs it is loaded when it starts. */
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { EventChannel, type TrainingEvent } from "../events.js";
import type { Strategy } from "../strategies/strategy.js";
import { configuredStrategy } from "../strategies/table.js";
import type { RunnerOptions } from "./options.js";
import { OutputTree } from "./outputTree.js";
import type { FoldResult } from "./results.js";

export class ExperimentRunner {
  readonly config: ExperimentConfig;
  readonly tree: OutputTree;
  readonly #options: RunnerOptions;
  readonly #strategy: Strategy;
  readonly #channel = new EventChannel<TrainingEvent>();
  #running: Promise<FoldResult[]> | undefined;

  /** @throws CellsamError ERR_CONFIG */
  constructor(config: ExperimentInput, options: RunnerOptions = {}) {
    this.config = new ExperimentConfig(config);
    this.#options = options;
    this.tree = new OutputTree(this.config.outputDir, this.config.outputName);
    this.#strategy = options.strategy ?? configuredStrategy(this.config);
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
    const channel = this.#channel;
    try {
      const { ExperimentRun } = await import("./experimentRun.js");
      const { config, tree } = this;
      const emit = (event: TrainingEvent) => channel.push(event);
      const results = await new ExperimentRun({
        config,
        tree,
        options: this.#options,
        strategy: this.#strategy,
        emit,
      }).execute();
      channel.end();
      return results;
    } catch (error) {
      channel.fail(error);
      throw error;
    }
  }
}
