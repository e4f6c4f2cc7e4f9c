/**
 * Files without which training goes on where they cannot be written, as on a full disk: what of them the results of the folds
 * know is written at the end of a run, and when a finished one is resumed.
 */
import { readJson, strictJson, writeJson } from "../files/json.js";
import { MetricsTracker } from "../monitor/metricsTracker.js";
import { toSnake } from "../spelling.js";
import type { RunContext } from "./context.js";
import { duplicateReport } from "./duplicates.js";
import { preevalContent } from "./foldRows.js";
import type { StageResult } from "./results.js";

type Run = Pick<RunContext, "config" | "folds" | "state" | "tree" | "writeIfPossible">;

/** Writes what is missing or behind: the metrics of each stage, the scores before training, the near-duplicates. */
export async function completeFiles(run: Run): Promise<void> {
  const { config, folds, state, tree } = run;
  for (const { fold, stage1, stage2 } of state.results) {
    for (const [stage, result] of [[1, stage1] as const, [2, stage2] as const])
      if (result) await writeIfBehind(run, tree.stageMetrics(stage, fold, folds), metricsOf(result));
  }
  const preeval = preevalContent(run);
  if (preeval) await writeIfBehind(run, tree.preeval, preeval);
  if (!config.findDuplicates) return;
  const duplicates = duplicateReport(state.duplicates, state.splits, config.duplicateThreshold);
  await writeIfBehind(run, tree.nearDuplicates, toSnake(duplicates));
}

/** The metrics of a stage as they are written after its last epoch: every epoch has a value of each. */
function metricsOf({ trainHistory, valHistory }: StageResult): MetricsTracker {
  const tracker = new MetricsTracker();
  for (const [phase, history] of Object.entries({ train: trainHistory, val: valHistory })) {
    for (const [name, values] of Object.entries(history)) {
      for (const [i, value] of values.entries()) tracker.update({ [name]: value }, { epoch: i + 1, phase });
    }
  }
  return tracker;
}

async function writeIfBehind({ writeIfPossible }: Run, path: string, value: unknown): Promise<void> {
  const found = await readJson(path).catch(() => null);
  if (strictJson(found) !== strictJson(value)) await writeIfPossible(path, writeJson(path, value));
}
