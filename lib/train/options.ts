/** Options of a run that are not part of its configuration. */
import type { PoolInput } from "../config/pool.js";
import type { LossWeights, openSession } from "../engine/session.js";
import type { openStoreWriter } from "../engine/storeWriter.js";
import type { Strategy } from "../strategies/strategy.js";

/** Returns other weights for the losses of an epoch; those that are absent stay. */
export type LossWeightSchedule = (at: { stage: 1 | 2; fold: number; epoch: number; epochs: number }) => LossWeights;

export interface RunnerOptions extends PoolInput {
  /**
   * Continues a stopped or killed run of the same configuration; starts from the beginning where nothing was saved. Default
   * false.
   */
  resume?: boolean;
  /** Replaces an earlier experiment of the same name. Default false. */
  overwrite?: boolean;
  /** Aborting finishes the step, saves, and rejects `run` with the signal's reason. */
  signal?: AbortSignal;
  /** Decides the splits instead of the configured strategy. */
  strategy?: Strategy;
  /**
   * Called before every epoch for other weights of its losses; those that are absent stay. The validation loss, and so the
   * choice of the best epoch, uses the weights of its epoch. Must depend on its argument alone, or a resumed run would differ
   * from an undisturbed one.
   */
  lossWeights?: LossWeightSchedule;
  /** Sentences for the beginning of the log, such as where settings come from. */
  notes?: readonly string[];
  /** Opens the models, in place of the engine. */
  openSession?: typeof openSession;
  /** Opens the store, in place of the engine. */
  openStoreWriter?: typeof openStoreWriter;
}
