/** What the search and a trial's process say to each other over the channel between them. */

import type { ExperimentInput } from "../config/experiment.js";
import type { Failure } from "../errors.js";
import type { FoldRecord } from "./metric.js";

/** To the trial. `stop` lets it finish its step, save and end. */
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
  /** The fold's flat numbers, by snake_case name. */
  metrics: Record<string, number | null>;
}

/** From the trial: progress, then exactly one of the last three. */
export type TrialReport =
  | TrialEpoch
  | TrialFold
  | { type: "notice"; message: string }
  /** The data are read and the tiles are there: training begins. */
  | { type: "training" }
  | { type: "done"; results: FoldRecord[] }
  | { type: "stopped" }
  | { type: "failed"; error: Failure };
