/** What the process of a trial reports to its search. */

/** An epoch of a trial. */
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

export type TrialReport =
  | TrialEpoch
  | TrialFold
  | { type: "notice"; message: string }
  /** The data are checked and the tiles are made: training begins. */
  | { type: "training" };
