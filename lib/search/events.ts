/** Events of a search. */
import type { Failure } from "../errors.js";
import type { TrialEpoch } from "./messages.js";
import type { Hyperparameters } from "./trials.js";

/** A trial begins or has ended. */
export interface TrialEvent {
  type: "trial";
  trialId: number;
  /** Number of trials of the search. */
  trials: number;
  state: "begin" | "completed" | "failed" | "pruned";
  hyperparameters: Hyperparameters;
  /** null for a trial that begins or did not complete. */
  metricValue: number | null;
  /** The best trial so far and its metric; null while there is none. */
  bestTrial: number | null;
  bestMetricValue: number | null;
  /** Number of trials that have ended, completed or not. */
  ended: number;
  seconds: number;
  error?: Failure;
}

/** An epoch of a trial. */
export interface TrialEpochEvent extends Omit<TrialEpoch, "type"> {
  type: "trialEpoch";
  trialId: number;
}

export interface SearchNotice {
  type: "notice";
  level: "warning";
  message: string;
  trialId?: number;
}

export type SearchEvent = TrialEvent | TrialEpochEvent | SearchNotice;
