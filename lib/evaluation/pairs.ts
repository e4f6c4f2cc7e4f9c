/**
 * Instance metrics of predicted label maps against true ones, by one-to-one matching of cells on their IoU. The engine matches
 * and counts; this file adds up images. Where neither side has cells the rates are 1, where one side has none they are 0.
 */

import { engineCommand, engineCommandAsync } from "../engine/commands.js";
import type { NdArray } from "../engine/native.js";
import { comparison as standard } from "../settings/groups.js";
import { type CocoImage, type CocoRates, cocoRates } from "./coco.js";
import { type Reliability, reliability } from "./reliability.js";
import { addSums, boundaryRates, type DeepcellRates, deepcellRates, pixelRates, rate, type Sums } from "./sums.js";

export type { CocoRates } from "./coco.js";
export type { Reliability, ReliabilityBin } from "./reliability.js";
export type { DeepcellRates, Sums } from "./sums.js";

/** Numbers of cells of one or several images at one IoU threshold. */
export interface MatchCounts {
  truth: number;
  predicted: number;
  truePositives: number;
  falsePositives: number;
  falseNegatives: number;
  /** Over the true positives. */
  matchedIouSum: number;
}

/** Rates at an IoU threshold of 0.5, and the average precision TP / (TP + FP + FN) at 0.50, 0.55, ..., 0.95. */
export interface Rates extends CocoRates {
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
  /** Foreground pixels: 2 |A and B| / (|A| + |B|), in a summary the mean over images. */
  dice: number;
  /** Foreground pixels: |A and B| / |A or B|, in a summary the mean over images. */
  jaccard: number;
  /**
   * SEG of the Cell Tracking Challenge (Maska et al., 2014): mean Jaccard index over true cells, 0 for one that no prediction
   * covers by more than half.
   */
  seg: number;
  /** Share of predicted boundary pixels near a true one; boundary F1 after Csurka et al., BMVC 2013. */
  boundaryPrecision: number;
  boundaryRecall: number;
  boundaryF1: number;
  /** Optimal assignment at IoU 0.5; jaccard and dice are means over the matched cells. */
  hungarian: { precision: number; recall: number; f1: number; jaccard: number; dice: number };
  deepcell: DeepcellRates;
  counts: MatchCounts;
}

/** A symbol keeps it out of JSON: the contribution of an image to the COCO curve is as long as its list of detections. */
export const cocoPart = Symbol("coco");

/** One image. */
export interface PairEvaluation extends Rates {
  [cocoPart]: CocoImage | null;
  /** What a summary is made from besides `countsAt`. */
  sums: Sums;
  /** The counts at each threshold of `ap`, from which a summary is made. */
  countsAt: Record<string, MatchCounts>;
  /** The matches at IoU >= 0.5. */
  matches: { truth: number; predicted: number; iou: number }[];
}

/** Several images: rates of their added counts, so that every cell weighs the same. */
export interface Summary extends Rates {
  images: number;
  /** How often detections of a score are cells; null where predictions have no scores. */
  reliability: Reliability | null;
}

interface MatchResult {
  truth: number;
  predicted: number;
  thresholds: NdArray<Float64Array>;
  truePositives: NdArray<Int32Array>;
  matchedIouSum: NdArray<Float64Array>;
  pairs: NdArray<Float64Array>;
  deepcell: number;
  segSum: number;
  pixels: Sums["pixels"];
  boundary: Sums["boundary"];
  coco?: { scores: NdArray<Float64Array>; verdicts: NdArray<Uint8Array>; truth: NdArray<Float64Array> };
}

type CountsResult = Record<
  "averagePrecision" | "precision" | "recall" | "f1" | "meanMatchedIou" | "panopticQuality",
  NdArray<Float64Array>
>;

const thresholds = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
const names = thresholds.map((threshold) => threshold.toFixed(2));

export interface EvaluationOptions {
  /** Scores of the predicted cells, [n], row i for the id i + 1; without them there is no COCO AP. */
  scores?: NdArray<Float64Array>;
  /** DeepCell's counts take a pair with a larger IoU as a match (cutoff1 = 1 - this). Default 0.5. */
  iouThreshold?: number;
  /** DeepCell's counts: the smallest IoU of a pair of which one lies at least half in the other. Default 0.1. */
  cutoff2?: number;
  /** Of boundary precision and recall: Euclidean distance in pixels. Default 2. */
  boundaryTolerance?: number;
}

/**
 * Compares a predicted label map with the true one, both [H,W], 0 = background. The true map may hold -1 (ignored): predictions
 * that lie at least half in such pixels are left out, and the pixels count for neither side. The matching runs on a thread of
 * its own, since large maps take seconds.
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ, an id is negative, or scores do not fit
 */
export async function evaluatePair(
  truth: NdArray<Int32Array>,
  prediction: NdArray<Int32Array>,
  options: EvaluationOptions = {},
): Promise<PairEvaluation> {
  const { scores, iouThreshold = standard.iouThreshold.default, cutoff2 = standard.cutoff2.default } = options;
  const { boundaryTolerance = standard.boundaryTolerance.default } = options;
  const measured = { truth, prediction, thresholds, iouThreshold, cutoff2, boundaryTolerance, scores };
  const found = await engineCommandAsync<MatchResult>("metric.match", measured);
  const countsAt: Record<string, MatchCounts> = {};
  for (const [i, name] of names.entries()) {
    countsAt[name] = counts(
      found.truth,
      found.predicted,
      found.truePositives.data[i] as number,
      found.matchedIouSum.data[i] as number,
    );
  }
  const { data } = found.pairs;
  const matches = Array.from({ length: data.length / 3 }, (_, i) => ({
    truth: data[3 * i] as number,
    predicted: data[3 * i + 1] as number,
    iou: data[3 * i + 2] as number,
  }));
  const { pixels, boundary, segSum: seg, deepcell, coco } = found;
  const sums: Sums = {
    pixels,
    boundary,
    seg,
    matchedDice: matches.reduce((sum, { iou }) => sum + (2 * iou) / (1 + iou), 0),
    deepcell,
  };
  const part = coco ? { scores: coco.scores.data, verdicts: coco.verdicts.data, truth: coco.truth.data } : null;
  const all = { ...rates(countsAt, sums, [1 - iouThreshold, cutoff2]), ...pixelRates(pixels), ...cocoRates([part]) };
  return { ...all, countsAt, sums, matches, [cocoPart]: part };
}

/**
 * The rates over all images together, from added counts; dice and jaccard are means over images. Without images all rates are
 * 1, as for an empty image.
 */
export function summarize(pairs: readonly PairEvaluation[]): Summary {
  const total: Record<string, MatchCounts> = {};
  for (const name of names) {
    const sum = (field: keyof MatchCounts) =>
      pairs.reduce((soFar, { countsAt }) => soFar + (countsAt[name] as MatchCounts)[field], 0);
    total[name] = counts(sum("truth"), sum("predicted"), sum("truePositives"), sum("matchedIouSum"));
  }
  const { cutoff1 = 1 - standard.iouThreshold.default, cutoff2 = standard.cutoff2.default } = pairs[0]?.deepcell ?? {};
  const mean = (field: "dice" | "jaccard") =>
    pairs.length === 0 ? 1 : pairs.reduce((sum, pair) => sum + pair[field], 0) / pairs.length;
  const parts = pairs.map((pair) => pair[cocoPart]);
  return {
    ...rates(total, addSums(pairs.map(({ sums }) => sums)), [cutoff1, cutoff2]),
    dice: mean("dice"),
    jaccard: mean("jaccard"),
    ...cocoRates(parts),
    images: pairs.length,
    reliability: reliability(parts),
  };
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

type MatchRates = Omit<Rates, keyof CocoRates | "dice" | "jaccard">;

function rates(countsAt: Record<string, MatchCounts>, sums: Sums, cutoffs: [number, number]): MatchRates {
  const rows = names.map((name) => countsAt[name] as MatchCounts);
  const column = (field: keyof MatchCounts) => ({
    data: Float64Array.from(rows, (row) => row[field]),
    shape: [rows.length],
  });
  const columns = engineCommand<CountsResult>("metric.counts", {
    truth: column("truth"),
    predicted: column("predicted"),
    truePositives: column("truePositives"),
    matchedIouSum: column("matchedIouSum"),
  });
  const at = (threshold: string, rate: keyof CountsResult) => columns[rate].data[names.indexOf(threshold)] as number;
  const half = countsAt["0.50"] as MatchCounts;
  const empty = half.truth + half.predicted === 0;
  const [precision, recall, f1] = [at("0.50", "precision"), at("0.50", "recall"), at("0.50", "f1")];
  const meanMatchedIou = at("0.50", "meanMatchedIou");
  const ap = Object.fromEntries(names.map((name) => [name, at(name, "averagePrecision")]));
  return {
    ap,
    ap50: at("0.50", "averagePrecision"),
    ap75: at("0.75", "averagePrecision"),
    meanAp: names.reduce((sum, name) => sum + at(name, "averagePrecision"), 0) / names.length,
    precision,
    recall,
    f1,
    meanMatchedIou,
    pq: at("0.50", "panopticQuality"),
    seg: rate(sums.seg, half.truth, empty),
    ...boundaryRates(sums.boundary),
    hungarian: { precision, recall, f1, jaccard: meanMatchedIou, dice: rate(sums.matchedDice, half.truePositives, empty) },
    deepcell: deepcellRates(half.truth, half.predicted, sums.deepcell, cutoffs),
    counts: half,
  };
}
