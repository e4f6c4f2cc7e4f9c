/**
 * Instance metrics: predicted label maps against true ones, by one-to-one matching of cells on their IoU. Counting and rates are
 * the engine's; this file adds up images. Both sides without cells count as a perfect answer (1), one side without as 0.
 */
import { engineCall, engineCallAsync, type NdArray } from "./native.js";

/** Cells of one or several images at one IoU threshold. */
export interface MatchCounts {
  truth: number;
  predicted: number;
  truePositives: number;
  falsePositives: number;
  falseNegatives: number;
  /** Over the true positives. */
  matchedIouSum: number;
}

/** Rates at an IoU threshold of 0.5, and the average precision TP / (TP + FP + FN) at 0.50, 0.55, .. 0.95. */
export interface Rates {
  /** By threshold, "0.50" to "0.95". */
  ap: Record<string, number>;
  ap50: number;
  ap75: number;
  /** Mean of `ap`. */
  meanAp: number;
  precision: number;
  recall: number;
  /** TP / (TP + FP/2 + FN/2). */
  f1: number;
  /** Mean IoU of the true positives. */
  meanMatchedIou: number;
  /** Panoptic quality: the sum of IoU of the true positives / (TP + FP/2 + FN/2). */
  pq: number;
  counts: MatchCounts;
}

/** One image. */
export interface PairEvaluation extends Rates {
  /** The counts at each threshold of `ap`, from which a summary is made. */
  countsAt: Record<string, MatchCounts>;
  /** The matches at IoU >= 0.5. */
  matches: { truth: number; predicted: number; iou: number }[];
}

/** Several images: rates of their added counts, so that a crowded image weighs more than one with two cells. */
export interface Summary extends Rates {
  images: number;
}

interface MatchAnswer {
  truth: number;
  predicted: number;
  thresholds: NdArray<Float64Array>;
  true_positives: NdArray<Int32Array>;
  matched_iou_sum: NdArray<Float64Array>;
  pairs: NdArray<Float64Array>;
}

type CountsAnswer = Record<
  "average_precision" | "precision" | "recall" | "f1" | "mean_matched_iou" | "panoptic_quality",
  NdArray<Float64Array>
>;

const thresholds = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
const names = thresholds.map((threshold) => threshold.toFixed(2));

/**
 * Compares a predicted label map with the true one, both [H,W], 0 = background; ids carry no meaning beyond their image. The
 * matching runs on a thread of its own: large maps take seconds, in which a signal must still be heard.
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ or an id is negative
 */
export async function evaluatePair(truth: NdArray<Int32Array>, prediction: NdArray<Int32Array>): Promise<PairEvaluation> {
  const answer = await engineCallAsync<MatchAnswer>("metric.match", { truth, prediction, thresholds });
  const countsAt: Record<string, MatchCounts> = {};
  for (const [i, name] of names.entries()) {
    countsAt[name] = counts(
      answer.truth,
      answer.predicted,
      answer.true_positives.data[i] as number,
      answer.matched_iou_sum.data[i] as number,
    );
  }
  const { data } = answer.pairs;
  const matches = Array.from({ length: data.length / 3 }, (_, i) => ({
    truth: data[3 * i] as number,
    predicted: data[3 * i + 1] as number,
    iou: data[3 * i + 2] as number,
  }));
  return { ...rates(countsAt), countsAt, matches };
}

/** The rates over all images together. No images at all give the rates of an empty image, 1. */
export function summarize(pairs: readonly PairEvaluation[]): Summary {
  const total: Record<string, MatchCounts> = {};
  for (const name of names) {
    const sum = (field: keyof MatchCounts) =>
      pairs.reduce((soFar, { countsAt }) => soFar + (countsAt[name] as MatchCounts)[field], 0);
    total[name] = counts(sum("truth"), sum("predicted"), sum("truePositives"), sum("matchedIouSum"));
  }
  return { ...rates(total), images: pairs.length };
}

function counts(truth: number, predicted: number, truePositives: number, matchedIouSum: number): MatchCounts {
  return {
    truth,
    predicted,
    truePositives,
    falsePositives: predicted - truePositives,
    falseNegatives: truth - truePositives,
    matchedIouSum,
  };
}

function rates(countsAt: Record<string, MatchCounts>): Rates {
  const rows = names.map((name) => countsAt[name] as MatchCounts);
  const column = (field: keyof MatchCounts) => ({
    data: Float64Array.from(rows, (row) => row[field]),
    shape: [rows.length],
  });
  const answer = engineCall<CountsAnswer>("metric.counts", {
    truth: column("truth"),
    predicted: column("predicted"),
    true_positives: column("truePositives"),
    matched_iou_sum: column("matchedIouSum"),
  });
  const at = (threshold: string, rate: keyof CountsAnswer) => answer[rate].data[names.indexOf(threshold)] as number;
  const ap = Object.fromEntries(names.map((name) => [name, at(name, "average_precision")]));
  return {
    ap,
    ap50: at("0.50", "average_precision"),
    ap75: at("0.75", "average_precision"),
    meanAp: names.reduce((sum, name) => sum + at(name, "average_precision"), 0) / names.length,
    precision: at("0.50", "precision"),
    recall: at("0.50", "recall"),
    f1: at("0.50", "f1"),
    meanMatchedIou: at("0.50", "mean_matched_iou"),
    pq: at("0.50", "panoptic_quality"),
    counts: countsAt["0.50"] as MatchCounts,
  };
}
