/** How an experiment is run, beside what its configuration says. */
import type { LossWeights, openSession } from "../engine/session.js";
import type { openStoreWriter } from "../engine/storeWriter.js";
import type { Strategy } from "../strategies/strategy.js";

/** Other weights for the losses of an epoch; those that are absent stay. */
export type LossWeightSchedule = (at: { stage: 1 | 2; fold: number; epoch: number; epochs: number }) => LossWeights;

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
