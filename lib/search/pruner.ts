/**
 * A pruner decides whether a running trial ends early. It gets the reports of trials and decides at checks, once for each check
 * and trial.
 */
import type { TrialEpoch, TrialFold } from "./messages.js";

/** The decision at a check. */
export interface Judgement {
  /** Names the check, e.g. "stage 1 epoch 9". */
  check: string;
  /** The value that was compared. */
  value: number | null;
  keep: boolean;
}

export interface Pruner {
  /** The rule, as a sentence for log and report. */
  readonly rule: string;
  /** What the user should know before the search starts. */
  readonly notes: readonly string[];
  /** The decision when this report brings the trial to a check, else null. */
  judge(trialId: number, report: TrialEpoch | TrialFold): Judgement | null;
  /** Restores a decision of an earlier run of the search. */
  restore(trialId: number, judgement: Judgement): void;
  /** To be called when a trial has completed, with its metric per fold. */
  completed(trialId: number, folds: readonly (number | null)[]): void;
}
