/**
 * Finds the best detection threshold for a metric from one inference pass. Every threshold at which the result changes is
 * compared, so the optimum is global. Where an interval of thresholds is equally good, the middle of the widest one is
 * returned.
 */
import type { ImageSweep } from "../engine/inference.js";
import { CellsamError } from "../errors.js";
import { pixelRates, rate } from "./sums.js";

/**
 * Scores over all images at one detection threshold. `ap`, `ap50`, `ap75` are TP / (TP + FP + FN) of cells; dice and jaccard
 * are of pixels.
 */
export interface ThresholdMetrics {
  /** The `bboxThreshold` that gives these numbers, with `adaptiveThreshold: false`. */
  threshold: number;
  precision: number;
  recall: number;
  f1: number;
  dice: number;
  jaccard: number;
  /**
   * Mean over the IoU thresholds 0.50, 0.55, ..., 0.95. (COCO's AP would have no best threshold: it only grows as the threshold
   * falls.)
   */
  ap: number;
  ap50: number;
  ap75: number;
}

export const optimizable = ["f1", "dice", "ap50", "jaccard", "precision", "recall"] as const;
export type OptimizableMetric = (typeof optimizable)[number];

/** @throws CellsamError ERR_INVALID_ARGUMENT for a metric that no threshold can be tuned to. Case does not matter. */
export function optimizableMetric(name: string): OptimizableMetric {
  const known = optimizable.find((metric) => metric === name.toLowerCase());
  if (known) return known;
  throw new CellsamError("ERR_INVALID_ARGUMENT", `no threshold can be tuned to "${name}"; choose ${optimizable.join(", ")}`, {
    detail: { metric: name },
  });
}

/** One interval of thresholds that all give the same result. */
interface Row {
  from: number;
  to: number;
  metrics: ThresholdMetrics;
}

const ious = 10;

/** All intervals, by descending threshold. */
function rowsOf(sweeps: readonly ImageSweep[]): Row[] {
  const floor = Math.max(0, ...sweeps.map((sweep) => sweep.floor));
  const events = sweeps
    .flatMap(({ scores }, image) => Array.from(scores, (score, step) => ({ score, image, step })))
    .filter(({ score }) => score > floor)
    .sort((a, b) => b.score - a.score);
  const truth = sweeps.reduce((sum, sweep) => sum + sweep.truth, 0);
  const right = new Array<number>(ious).fill(0);
  let predicted = 0;
  const pixels = sweeps.map(({ truthPixels }) => pixelRates({ truth: truthPixels, predicted: 0, shared: 0 }));
  const sums = { dice: 0, jaccard: 0 };
  for (const { dice, jaccard } of pixels) {
    sums.dice += dice;
    sums.jaccard += jaccard;
  }
  const measured = (): ThresholdMetrics => {
    const empty = truth + predicted === 0;
    const ap = right.map((matched) => rate(matched, truth + predicted - matched, empty));
    const matched = right[0] as number;
    return {
      threshold: 0,
      precision: rate(matched, predicted, empty),
      recall: rate(matched, truth, empty),
      f1: rate(2 * matched, truth + predicted, empty),
      dice: sweeps.length === 0 ? 1 : sums.dice / sweeps.length,
      jaccard: sweeps.length === 0 ? 1 : sums.jaccard / sweeps.length,
      ap: ap.reduce((sum, value) => sum + value, 0) / ious,
      ap50: ap[0] as number,
      ap75: ap[5] as number,
    };
  };
  const rows: Row[] = [{ from: events[0]?.score ?? floor, to: 1, metrics: measured() }];
  for (let i = 0; i < events.length; ) {
    const score = (events[i] as { score: number }).score;
    for (; i < events.length && events[i]?.score === score; i++) {
      const { image, step } = events[i] as (typeof events)[number];
      const sweep = sweeps[image] as ImageSweep;
      const change = (column: Float64Array, width = 1, k = 0) =>
        (column[step * width + k] as number) - (step === 0 ? 0 : (column[(step - 1) * width + k] as number));
      predicted += change(sweep.predicted);
      for (let k = 0; k < ious; k++) right[k] = (right[k] as number) + change(sweep.truePositives, ious, k);
      const before = pixels[image] as { dice: number; jaccard: number };
      const now = pixelRates({
        truth: sweep.truthPixels,
        predicted: sweep.predictedPixels[step] as number,
        shared: sweep.sharedPixels[step] as number,
      });
      sums.dice += now.dice - before.dice;
      sums.jaccard += now.jaccard - before.jaccard;
      pixels[image] = now;
    }
    rows.push({ from: events[i]?.score ?? floor, to: score, metrics: measured() });
  }
  return rows;
}

/** The middle of an interval, rounded to the fewest digits that stay in its middle half. */
function middle({ from, to }: { from: number; to: number }): number {
  const centre = (from + to) / 2;
  for (let digits = 1; digits <= 6; digits++) {
    const short = Number(centre.toFixed(digits));
    if (Math.abs(short - centre) < (to - from) / 4) return short;
  }
  return centre;
}

const sameValue = 1e-12;

function bestRow(rows: readonly Row[], metric: OptimizableMetric): ThresholdMetrics {
  const best = Math.max(...rows.map(({ metrics }) => metrics[metric]));
  let widest = { from: 0, to: 0 };
  for (let i = 0; i < rows.length; i++) {
    if ((rows[i] as Row).metrics[metric] < best - sameValue) continue;
    const { to } = rows[i] as Row;
    while (i + 1 < rows.length && (rows[i + 1] as Row).metrics[metric] >= best - sameValue) i++;
    const { from } = rows[i] as Row;
    if (to - from > widest.to - widest.from) widest = { from, to };
  }
  return at(rows, middle(widest));
}

function at(rows: readonly Row[], threshold: number): ThresholdMetrics {
  const row = rows.find(({ from }) => threshold >= from);
  if (!row) {
    const floor = rows.at(-1)?.from ?? 0;
    throw new CellsamError(
      "ERR_INVALID_ARGUMENT",
      `threshold ${threshold} lies below ${floor}, the lowest that was looked at`,
      {
        detail: { threshold, floor },
      },
    );
  }
  return { ...row.metrics, threshold };
}

export interface OptimizedThresholds<M extends string = OptimizableMetric> {
  best: Record<M, ThresholdMetrics>;
  /** Number of intervals of thresholds that were compared. */
  searched: number;
}

/**
 * The best threshold for each metric over all images together.
 * @param sweeps of every image, see `sweepThresholds`
 * @throws CellsamError ERR_INVALID_ARGUMENT for an unknown metric
 */
export function optimizeThresholds<M extends string = "f1" | "dice" | "ap50">(
  sweeps: readonly ImageSweep[],
  metrics: readonly M[] = ["f1", "dice", "ap50"] as unknown as readonly M[],
): OptimizedThresholds<M> {
  const names = metrics.map((name) => [name, optimizableMetric(name)] as const);
  const rows = rowsOf(sweeps);
  const best = Object.fromEntries(names.map(([name, metric]) => [name, bestRow(rows, metric)]));
  return { best: best as Record<M, ThresholdMetrics>, searched: rows.length };
}

/** The metrics at given thresholds. @throws CellsamError ERR_INVALID_ARGUMENT for one below the floor of the sweeps */
export function metricsAt(sweeps: readonly ImageSweep[], thresholds: readonly number[]): ThresholdMetrics[] {
  const rows = rowsOf(sweeps);
  return thresholds.map((threshold) => at(rows, threshold));
}
