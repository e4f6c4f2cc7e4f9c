/** What `train` prints at its end: scores before and after in plain words, where the results are, and what to type next. */
import { join } from "node:path";
import type { Comparison } from "../stats/compare.js";
import { meanOrNull } from "../stats/summary.js";
import type { FoldResult } from "../train/results.js";

/** The scores that a reader who does not know the field can place. */
const scores = {
  recall: "cells that were found (recall)",
  precision: "findings that are cells (precision)",
  f1: "both in one number (F1)",
  ap50: "average precision (AP at IoU 0.5)",
  meanMatchedIou: "overlap of found cells with the truth (IoU)",
} as const;

type Scores = FoldResult["evaluation"];

/**
 * Lines of at most 80 columns, paths aside. `byImage` compares the images before and after, and is null where they were not
 * measured before.
 */
export function outcome(results: readonly FoldResult[], byImage: Comparison | null, root: string): string {
  const failed = results.filter(({ error }) => error !== null);
  const good = results.filter(({ evaluation }) => evaluation !== null);
  return [
    ...failed.map(({ fold, error }) => `fold ${fold}: failed, ${error?.code}: ${error?.message}`),
    ...(good.length > 0 ? measured(good, byImage) : []),
    ...places(good, root),
  ].join("\n");
}

function measured(good: readonly FoldResult[], byImage: Comparison | null): string[] {
  const [first] = good as [FoldResult];
  const validated = first.evaluatedOn === "validation";
  const images = good.reduce((sum, { valImages, trainImages }) => sum + (validated ? valImages : trainImages), 0);
  const cells = good.reduce((sum, { evaluation }) => sum + (evaluation?.counts.truth ?? 0), 0);
  const folds = good.length > 1 ? `; means of ${good.length} folds` : "";
  const columns: [string, (result: FoldResult) => Scores][] = [];
  if (good.every(({ preeval }) => preeval)) columns.push(["before", ({ preeval }) => preeval]);
  columns.push([columns.length > 0 ? "after" : "score", ({ evaluation }) => evaluation]);
  if (good.every(({ test }) => test)) columns.push(["test", ({ test }) => test?.summary ?? null]);
  const row = (name: string, values: readonly string[]) =>
    `  ${name.padEnd(44)}${values.map((text) => text.padStart(9)).join("")}`;
  const side = validated ? `${images} validation images, which did not train,` : `the ${images} images that trained`;
  return [
    `Measured on ${side} with ${cells} cells${folds}`,
    row(
      "(0 to 1, higher is better)",
      columns.map(([name]) => name),
    ),
    ...Object.entries(scores).map(([key, words]) =>
      row(
        words,
        columns.map(([, pick]) => score(good.map((result) => pick(result)?.[key as keyof typeof scores] ?? null))),
      ),
    ),
    ...(validated ? [] : ["  These images trained, so this says nothing about others."]),
    ...(validated && columns[0]?.[0] !== "before" ? ["  With --set preeval=true also the scores before the training."] : []),
    ...evidence(byImage),
    ...ofThresholds(good),
  ];
}

/** The detection thresholds that the run has tuned, and what F1 would be without. */
function ofThresholds(good: readonly FoldResult[]): string[] {
  const tuned = good.map(({ tunedThreshold }) => tunedThreshold).filter((threshold) => threshold !== null);
  if (tuned.length === 0) return [];
  const ends = [Math.min(...tuned), Math.max(...tuned)].map((threshold) => threshold.toFixed(3));
  const range = good.length === 1 ? ends[0] : `${ends.join(" to ")}, in ${tuned.length} of ${good.length} folds`;
  const without = score(
    good.map(({ evaluation, evaluationAsConfigured }) => (evaluationAsConfigured ?? evaluation)?.f1 ?? null),
  );
  return [
    `  Detection threshold tuned on these images: ${range}.`,
    `  predict --experiment uses it; at the configured one F1 is ${without}.`,
  ];
}

function score(values: readonly (number | null)[]): string {
  return meanOrNull(values.filter((value) => value !== null))?.toFixed(3) ?? "-";
}

/** Whether the change of F1 is more than chance, and between which sizes it may lie. */
function evidence(byImage: Comparison | null): string[] {
  const f1 = byImage?.metrics.f1;
  const { mean, ci95T, n } = f1?.difference ?? {};
  if (!f1 || typeof mean !== "number") return [];
  const change = `  F1 of an image changed by ${signed(mean)} on average`;
  if (!ci95T) return [`${change}, of ${n} image: too few for a judgement.`];
  const verdict = f1.verdict === "not enough evidence" ? "not enough evidence for a change" : `${f1.verdict} than before`;
  return [`${change} (${n} images;`, `  95 % interval ${signed(ci95T[0])} to ${signed(ci95T[1])}): ${verdict}.`];
}

function signed(value: number): string {
  return `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(3)}`;
}

function places(good: readonly FoldResult[], root: string): string[] {
  const quoted = /^[\w./\\:-]+$/.test(root) ? root : JSON.stringify(root);
  const models = good.flatMap(({ finalModelPath }) => finalModelPath ?? []);
  return [
    "",
    `Report   ${join(root, "results", "report.html")}  (open it in a browser)`,
    `Scores   ${join(root, "results", "individual_results.json")}`,
    ...models.map((path, i) => `${i === 0 ? "Model   " : "        "} ${path}`),
    ...(models.length > 0
      ? ["Next     find the cells of new images:", `  npx cellsam predict NEW_IMAGES --experiment ${quoted} --out predictions`]
      : []),
  ];
}
