/** Says whose weights a prediction takes: of which stage, epoch and fold, and whether their training is over. */
import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { readJson } from "../files/json.js";
import { tunedThresholdOf } from "../predict/trained.js";
import { isLocked } from "../train/lock.js";
import { Manifest } from "../train/manifest.js";
import { OutputTree } from "../train/outputTree.js";
import type { RunState } from "../train/resume.js";

/** `weights` is a file in models/fold_N/ of the experiment. Lines of at most 80 columns, the folder aside. */
export async function whoseWeights(folder: string, weights: string): Promise<string> {
  const path = resolve(folder);
  const tree = new OutputTree(dirname(path), basename(path));
  const fold = Number(/^fold_(\d+)$/.exec(basename(dirname(weights)))?.[1] ?? 1);
  const entry = await new Manifest(dirname(weights)).entryOf(weights).catch(() => undefined);
  const state = existsSync(tree.runState) ? await readJson<RunState>(tree.runState).catch(() => undefined) : undefined;
  const stage = entry?.stage ?? Number(/_s([12])\.pth$/.exec(weights)?.[1] ?? 2);
  const folds = state?.splits.length ?? 1;
  const parts = [
    `stage ${stage}`,
    ...(entry?.epoch ? [`epoch ${entry.epoch}`] : []),
    ...(folds > 1 ? [`fold ${fold} of ${folds}`] : []),
  ];
  const threshold = await tunedThresholdOf(path, fold);
  const tuned = threshold === null ? "" : `, with the detection threshold that it tuned, ${threshold}`;
  const lines = [`weights: ${parts.join(", ")} of ${folder}${tuned}`];
  // A file of another version, or of the Python module, does not tell.
  if (!state?.config || state.status === "finished") return lines.join("\n");
  lines.push(
    (await isLocked(dirname(path), basename(path)))
      ? "  its training still runs: these are the best weights so far, and not the last"
      : "  its training was ended before it was done; `train --resume` continues it",
  );
  if (stage === 1 && state.config.stages.includes(2))
    lines.push("  only stage 1 has trained: outlines (stage 2) are as before the training");
  return lines.join("\n");
}
