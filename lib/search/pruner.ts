/** When a running trial is given up. A pruner hears how trials do and judges at checks, each judged once per trial. */
import type { TrialEpoch, TrialFold } from "./messages.js";

export interface Judgement {
  /** Names the check, e.g. "stage 1 epoch 9". */
  check: string;
  /** What was compared. */
  value: number | null;
  keep: boolean;
}

export interface Pruner {
  /** What the rule is, in a sentence for log and report. */
  readonly rule: string;
  /** What the user should know before the search starts. */
  readonly notes: readonly string[];
  /** A judgement, when this report brings the trial to a check. */
  judge(trialId: number, report: TrialEpoch | TrialFold): Judgement | null;
  /** Takes up a judgement of an earlier run of the search. */
  restore(trialId: number, judgement: Judgement): void;
  /** A trial ended with a result: its metric per fold. */
  completed(trialId: number, folds: readonly (number | null)[]): void;
}
