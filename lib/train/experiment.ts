/** The main entry: a checked configuration, and the one run of its experiment. What runs it is loaded when it starts. */
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import type { openSession } from "../engine/session.js";
import type { openStoreWriter } from "../engine/storeWriter.js";
import { EventChannel, type TrainingEvent } from "../events.js";
import { configuredStrategy } from "../strategies/configured.js";
import type { Strategy } from "../strategies/strategy.js";
import type { LossWeightSchedule } from "./foldContext.js";
import { OutputTree } from "./outputTree.js";
import type { FoldResult } from "./results.js";

export interface RunnerOptions {
  /** Goes on with a stopped or killed run of the same configuration; starts anew where nothing was saved yet. */
  resume?: boolean;
  /** Replaces an earlier experiment of the same name. */
  overwrite?: boolean;
  /** Aborting finishes the step, saves, and rejects `run` with the signal's reason. */
  signal?: AbortSignal;
  /** Decides the splits instead of the configured strategy. */
  strategy?: Strategy;
  /**
   * Asked before every epoch for other weights of its losses; those that are absent stay. Validation loss, and so the best epoch,
   * is measured with the weights of its epoch. Must be a function of its argument alone, or a resumed run goes another way.
   */
  lossWeights?: LossWeightSchedule;
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
