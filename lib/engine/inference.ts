/** Options and results of inference, and the steps from one pass through the networks to label maps at any detection threshold. */
import { CellsamError } from "../errors.js";
import { checkKeys } from "../optionKeys.js";
import { inference, pixels } from "../settings/groups.js";
import type { SettingValues } from "../settings/kinds.js";
import { engineCommandAsync } from "./commands.js";
import type { NdArray } from "./native.js";

export type ImageArray = NdArray<Uint8Array | Uint16Array | Float32Array>;

/** How pixels are read; docs/configuration.md describes each option. Absent: the default of the configuration. */
export type PixelOptions = Partial<SettingValues<typeof pixels>>;

/**
 * How pixels are read and how boxes become cells; docs/configuration.md describes each option. Absent: the default of the
 * configuration.
 */
export type InferenceOptions = PixelOptions & Partial<SettingValues<typeof inference>>;

/** Instance i (row i of scores, boxes and ious) has the id i + 1 in `labels`. */
export interface Prediction {
  /** [H,W], 0 is background. */
  labels: NdArray<Int32Array>;
  /** [n]. */
  scores: NdArray<Float64Array>;
  /** [n,4], xyxy in pixels. */
  boxes: NdArray<Float64Array>;
  /** [n], the model's own estimate of each mask's IoU. */
  ious: NdArray<Float64Array>;
  count: number;
}

/**
 * Cells of boxes that the caller gave. Every box has a row: those with pixels come first, as the ids in `labels`; for the others
 * (the model finds nothing in the box, or what it finds is covered by other cells) no pixel has the id, and score and IoU are
 * NaN.
 */
export interface BoxPrediction extends Prediction {
  /** Which of the given boxes each row belongs to, from 0, [n]. */
  prompt: Int32Array;
}

/**
 * Finds for each row of a prediction the given box that it belongs to, and adds rows for the boxes that have none. The engine
 * returns the boxes in its own order and without those that have no pixels. Of boxes that are the same only one has pixels.
 */
export function withPrompts(prediction: Prediction, given: NdArray<Float32Array | Float64Array>): BoxPrediction {
  const total = given.data.length / 4;
  const found = prediction.count;
  const rows = new Map<string, number[]>();
  // The engine computes with float32, and adds and subtracts the corner of a tile.
  const key = (numbers: ArrayLike<number>, row: number) =>
    Array.from({ length: 4 }, (_, k) => Math.fround(numbers[4 * row + k] as number)).join();
  for (let row = total - 1; row >= 0; row--) rows.set(key(given.data, row), [...(rows.get(key(given.data, row)) ?? []), row]);
  const prompt = new Int32Array(total);
  const missing = new Set(Array.from({ length: total }, (_, row) => row));
  for (let i = 0; i < found; i++) {
    const row = rows.get(key(prediction.boxes.data, i))?.pop();
    if (row === undefined)
      throw new CellsamError("ERR_INTERNAL", `the box of cell ${i + 1} is none of the boxes that were given`);
    prompt[i] = row;
    missing.delete(row);
  }
  prompt.set([...missing], found);
  const longer = ({ data }: NdArray<Float64Array>, value: (i: number) => number, columns = 1): NdArray<Float64Array> => {
    const all = Float64Array.from({ length: total * columns }, (_, i) => (i < data.length ? (data[i] as number) : value(i)));
    return { data: all, shape: columns === 1 ? [total] : [total, columns] };
  };
  return {
    labels: prediction.labels,
    scores: longer(prediction.scores, () => Number.NaN),
    ious: longer(prediction.ious, () => Number.NaN),
    boxes: longer(prediction.boxes, (i) => given.data[4 * (prompt[i >> 2] as number) + (i % 4)] as number, 4),
    count: total,
    prompt,
  };
}

/**
 * Every cell that some detection threshold down to a floor would find in one image. It consists of these arrays alone, and can
 * be stored.
 */
export interface Candidates {
  height: number;
  width: number;
  /** x, y, width, height of each tile, [t,4]; one without tiling. */
  tiles: NdArray<Int32Array>;
  /** The detection threshold that follows from the options and each tile's scores, [t]. */
  thresholds: NdArray<Float64Array>;
  /** Every detection of the tile with a score above this is included, [t]. */
  floors: NdArray<Float64Array>;
  /** The tile of each candidate, [n]. */
  tile: NdArray<Int32Array>;
  /** [n]; within a tile in descending order. */
  scores: NdArray<Float64Array>;
  /** The mask decoder's estimate of its own IoU, [n]. */
  ious: NdArray<Float64Array>;
  /** xyxy in pixels, [n,4]. */
  boxes: NdArray<Float64Array>;
  /** How many rows of `runs` belong to each mask, [n]. */
  runCounts: NdArray<Int32Array>;
  /** Run-length encoded masks: row y, columns x to end (excluded), [r,3]. */
  runs: NdArray<Int32Array>;
}

/** How the counts of one image change as the threshold falls: row i is valid from score i + 1 up to score i. */
export interface ImageSweep {
  /** Number of true cells, and of their pixels. */
  truth: number;
  truthPixels: number;
  /** The lowest threshold that the rows describe. */
  floor: number;
  /** In descending order, [k]. */
  scores: Float64Array;
  predicted: Float64Array;
  /** At IoU 0.50, 0.55, ..., 0.95, [k,10]. */
  truePositives: Float64Array;
  predictedPixels: Float64Array;
  sharedPixels: Float64Array;
}

/** A sweep as the engine returns it. */
type SweepColumns = {
  [Name in keyof ImageSweep]: ImageSweep[Name] extends Float64Array ? NdArray<Float64Array> : ImageSweep[Name];
};

/** How candidates become a label map; docs/configuration.md explains each option. */
export interface AssembleOptions {
  overlap?: "score" | "official";
  minArea?: number;
  minVisible?: number;
  largestPiece?: boolean;
  removeBoundaries?: boolean;
}

/** Settings of inference may be given as they are: those that decide before there are candidates have no effect here. */
const ruleKeys = [...Object.keys(inference), ...Object.keys(pixels), "threshold"];

/** The options above, of an object that may hold the other settings of inference too. @throws CellsamError ERR_INVALID_ARGUMENT */
function rules(call: string, options: AssembleOptions): AssembleOptions {
  checkKeys(call, options, ruleKeys);
  const { overlap, minArea, minVisible, largestPiece, removeBoundaries } = options;
  return { overlap, minArea, minVisible, largestPiece, removeBoundaries };
}

/**
 * The label map of `candidates` at a detection threshold: what `predict` returns with that `bboxThreshold` and
 * `adaptiveThreshold: false`. Without `threshold`: what `predict` returns with the options that the candidates were found with.
 * @throws CellsamError ERR_INVALID_ARGUMENT for a threshold below the candidates' floors, and for unknown options
 */
export async function assemblePrediction(
  candidates: Candidates,
  options: AssembleOptions & { threshold?: number } = {},
): Promise<Prediction> {
  const { threshold } = options;
  return engineCommandAsync("infer.assemble", { candidates, options: rules("assemblePrediction", options), threshold });
}

/**
 * Compares the cells that `candidates` give at every distinct score with the true label map [H,W] (0 background, -1 ignored),
 * without making a label map for each.
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ
 */
export async function sweepThresholds(
  candidates: Candidates,
  truth: NdArray<Int32Array>,
  options: AssembleOptions = {},
): Promise<ImageSweep> {
  const { scores, predicted, truePositives, predictedPixels, sharedPixels, ...rest } = await engineCommandAsync<SweepColumns>(
    "infer.sweep",
    { candidates, options: rules("sweepThresholds", options), truth },
  );
  return {
    ...rest,
    scores: scores.data,
    predicted: predicted.data,
    truePositives: truePositives.data,
    predictedPixels: predictedPixels.data,
    sharedPixels: sharedPixels.data,
  };
}
