/** The result of a search (optimization_results.json), and what it is made from. */
import { existsSync } from "node:fs";
import type { SearchOptions } from "../config/search.js";
import { CellsamError } from "../errors.js";
import { readJson } from "../files/json.js";
import type { MetricsFile } from "../monitor/metricsTracker.js";
import type { OutputTree } from "../train/outputTree.js";
import { fewestTrials, type Importance, importanceOf } from "./importance.js";
import type { EndLine, LossHistory, Reached } from "./journal.js";
import { better, type FoldRecord } from "./metric.js";
import type { Hyperparameters, Trial } from "./trials.js";

/** A trial and how it ended. */
export interface TrialRecord extends Omit<EndLine, "crashed"> {
  /** Folder of the trial's experiment, in the folder of the search. */
  name: string;
  hyperparameters: Hyperparameters;
  success: boolean;
}

/** The content of optimization_results.json; its keys are those of the file. */
export interface SearchResult {
  best_trial: TrialRecord;
  /** By trial_id. */
  all_trials: TrialRecord[];
  n_trials: number;
  metric_optimized: string;
  mode: "max" | "min";
  best_metric_value: number;
  counts: { completed: number; failed: number; pruned: number };
  /** Best first. */
  top: { trial_id: number; metric_value: number; hyperparameters: Hyperparameters }[];
  /** null when there are too few completed trials, or no difference between them. */
  importance: Importance[] | null;
  importance_method: string;
  pruner: string | null;
}

/** `total_loss` per epoch of every stage and fold that was trained. */
export async function lossHistory(tree: OutputTree, results: readonly FoldRecord[], folds: number): Promise<LossHistory[]> {
  const history: LossHistory[] = [];
  const losses = (of: unknown) => (of as Record<string, (number | null)[]> | undefined)?.total_loss ?? [];
  for (const fold of results) {
    for (const stage of [1, 2] as const) {
      const trained = fold[`stage${stage}`] as Record<string, unknown> | null | undefined;
      if (trained)
        history.push({
          fold: fold.fold as number,
          stage,
          train: losses(trained.train_history),
          val: losses(trained.val_history),
        });
    }
  }
  if (results.length > 0) return history;
  for (let fold = 1; fold <= folds; fold++) {
    for (const stage of [1, 2] as const) {
      const path = tree.stageMetrics(stage, fold, folds);
      if (!existsSync(path)) continue;
      const { history: phases } = await readJson<MetricsFile>(path);
      history.push({ fold, stage, train: losses(phases.train), val: losses(phases.val) });
    }
  }
  return history;
}

export function reachedIn(history: readonly LossHistory[]): Reached | null {
  const last = history.at(-1);
  return last ? { fold: last.fold, stage: last.stage, epoch: last.val.length } : null;
}

/** The completed trial with the best metric; the first of equal ones. */
export function bestOf<T extends { trial_id: number; state: string; metric_value: number | null }>(
  ended: Iterable<T>,
  mode: "max" | "min",
): (T & { metric_value: number }) | null {
  let best: (T & { metric_value: number }) | null = null;
  for (const trial of [...ended].sort((a, b) => a.trial_id - b.trial_id)) {
    if (trial.state !== "completed" || trial.metric_value === null) continue;
    if (best === null || better(trial.metric_value, best.metric_value, mode)) best = trial as T & { metric_value: number };
  }
  return best;
}

/** @throws CellsamError ERR_SEARCH_FAILED when no trial completed */
export function searchResult(
  trials: readonly Trial[],
  ended: ReadonlyMap<number, EndLine>,
  options: SearchOptions & { seed: number },
  searched: readonly string[],
  rule: string | null,
): SearchResult {
  const { metricName, metricKey, mode, topK, seed } = options;
  const records = trials.map(({ trialId, hyperparameters, config }): TrialRecord => {
    const { state, metric_value, results, history, reached, seconds, error } = ended.get(trialId) as EndLine;
    const success = state === "completed";
    const ending = { reached, seconds, ...(error && { error }) };
    return {
      trial_id: trialId,
      name: config.outputName,
      hyperparameters,
      state,
      success,
      metric_value,
      results,
      history,
      ...ending,
    };
  });
  const best = bestOf(records, mode);
  const count = (state: string) => records.filter((record) => record.state === state).length;
  const metric = `${metricName}.${metricKey}`;
  if (!best) {
    const reasons = [
      ...new Set(records.map(({ trial_id, error }) => error && `trial ${trial_id}: ${error.message}`).filter(Boolean)),
    ];
    throw new CellsamError(
      "ERR_SEARCH_FAILED",
      `none of the ${records.length} trials has ${metric}. ${reasons.slice(0, 3).join("\n")}`,
      {
        detail: { trials: records.length, reasons },
      },
    );
  }
  const completed = records.filter((record): record is TrialRecord & { metric_value: number } => record.metric_value !== null);
  const sign = mode === "max" ? -1 : 1;
  const ranked = completed.toSorted((a, b) => sign * (a.metric_value - b.metric_value) || a.trial_id - b.trial_id);
  const scored = completed.map(({ hyperparameters, metric_value }) => ({ hyperparameters, metric: metric_value }));
  return {
    best_trial: best,
    all_trials: records,
    n_trials: records.length,
    metric_optimized: metric,
    mode,
    best_metric_value: best.metric_value,
    counts: { completed: count("completed"), failed: count("failed"), pruned: count("pruned") },
    top: ranked
      .slice(0, topK)
      .map(({ trial_id, metric_value, hyperparameters }) => ({ trial_id, metric_value, hyperparameters })),
    importance: importanceOf(scored, searched, seed),
    importance_method: `share of the variance of ${metric} between completed trials that a setting explains alone (one-way ANOVA; eta squared, adjusted epsilon squared, permutation p); interactions are not considered; needs ${fewestTrials} completed trials`,
    pruner: rule,
  };
}
