/** Progress of a search, for a `for await` loop. */
import type { Failure } from "../errors.js";
import type { TrialEpoch } from "./messages.js";
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
