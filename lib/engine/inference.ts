/** Results of inference, and the steps from one pass through the networks to label maps at any detection threshold. */
import { engineCommandAsync } from "./commands.js";
import type { NdArray } from "./native.js";

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

/** Only the options above, of an object that may have more. */
function rules({ overlap, minArea, minVisible, largestPiece, removeBoundaries }: AssembleOptions): AssembleOptions {
  return { overlap, minArea, minVisible, largestPiece, removeBoundaries };
}

/**
 * The label map of `candidates` at a detection threshold: what `predict` returns with that `bboxThreshold` and
 * `adaptiveThreshold: false`. Without `threshold`: what `predict` returns with the options that the candidates were found with.
 * @throws CellsamError ERR_INVALID_ARGUMENT for a threshold below the candidates' floors
 */
export async function assemblePrediction(
  candidates: Candidates,
  options: AssembleOptions & { threshold?: number } = {},
): Promise<Prediction> {
  const { threshold } = options;
  return engineCommandAsync("infer.assemble", { candidates, options: rules(options), threshold });
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
    { candidates, options: rules(options), truth },
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
