/** The messages between a search and the process of a trial. */

import type { ExperimentInput } from "../config/experiment.js";
import type { Failure } from "../errors.js";
import type { FoldRecord } from "./metric.js";

/** To the trial. After `stop` it finishes its step, saves and ends. */
export type TrialOrder = { type: "run"; config: ExperimentInput } | { type: "stop" };

export interface TrialEpoch {
  type: "epoch";
  fold: number;
  stage: 1 | 2;
  epoch: number;
  epochs: number;
  /** Validation loss; null when there is none or it is not finite. */
  loss: number | null;
}

export interface TrialFold {
  type: "fold";
  fold: number;
  folds: number;
  /** The fold's scores, by snake_case name. */
  metrics: Record<string, number | null>;
}

/** From the trial: progress, and then exactly one of the last three. */
export type TrialReport =
  | TrialEpoch
  | TrialFold
  | { type: "notice"; message: string }
  /** The data are checked and the tiles are made: training begins. */
  | { type: "training" }
  | { type: "done"; results: FoldRecord[] }
  | { type: "stopped" }
  | { type: "failed"; error: Failure };
