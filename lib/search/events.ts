/** Progress of a search, for a `for await` loop. */
import type { Hyperparameters } from "./trials.js";

export interface TrialEvent {
  type: "trial";
  trialId: number;
  /** Trials of the whole search. */
  trials: number;
  state: "begin" | "completed" | "failed" | "pruned";
  hyperparameters: Hyperparameters;
  metricValue: number | null;
  /** The best trial so far and its metric; null while there is none. */
  bestTrial: number | null;
  bestMetricValue: number | null;
  /** Trials that have ended, in whatever way. */
  ended: number;
  seconds: number;
  error?: { code: string; message: string };
}

export interface TrialEpochEvent {
  type: "trialEpoch";
  trialId: number;
  fold: number;
  stage: 1 | 2;
  epoch: number;
  epochs: number;
  /** Validation loss. */
  loss: number | null;
}

export interface SearchNotice {
  type: "notice";
  level: "warning";
  message: string;
  trialId?: number;
}

export type SearchEvent = TrialEvent | TrialEpochEvent | SearchNotice;
