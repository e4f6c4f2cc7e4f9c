/** What inference answers, and the steps from one pass through the networks to label maps at any detection threshold. */
import { fromBorder, toBorder } from "./names.js";
import { engineCallAsync, type NdArray } from "./native.js";

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

/** Every cell that some detection threshold down to a floor would find in one image. Nothing but these arrays: it can be stored. */
export interface Candidates {
  height: number;
  width: number;
  /** x, y, width, height of each tile, [t,4]; one without tiling. */
  tiles: NdArray<Int32Array>;
  /** The detection threshold that the options make of each tile's scores, [t]. */
  thresholds: NdArray<Float64Array>;
  /** Every detection of the tile with a score above is here, [t]. */
  floors: NdArray<Float64Array>;
  /** The tile of each candidate, [n]. */
  tile: NdArray<Int32Array>;
  /** [n]; falling within a tile. */
  scores: NdArray<Float64Array>;
  /** The mask decoder's estimate of its own IoU, [n]. */
  ious: NdArray<Float64Array>;
  /** xyxy in pixels, [n,4]. */
  boxes: NdArray<Float64Array>;
  /** Of each mask, [n], in `runs`: row y, columns x to end (excluded), [r,3]. */
  runCounts: NdArray<Int32Array>;
  runs: NdArray<Int32Array>;
}

/** How one image's counts change as the threshold falls: row i holds from score i + 1 up to score i. */
export interface ImageSweep {
  /** True cells, and their pixels. */
  truth: number;
  truthPixels: number;
  /** The lowest threshold that the rows describe. */
  floor: number;
  /** Falling, [k]. */
  scores: Float64Array;
  predicted: Float64Array;
  /** At IoU 0.50, 0.55, .. 0.95, [k,10]. */
  truePositives: Float64Array;
  predictedPixels: Float64Array;
  sharedPixels: Float64Array;
}

/** How candidates become a label map; lib/config/inference.ts says what each one does. */
export interface AssembleOptions {
  overlap?: "score" | "official";
  minArea?: number;
  minVisible?: number;
  largestPiece?: boolean;
  removeBoundaries?: boolean;
}

/** Of more options, those above. */
function rules({ overlap, minArea, minVisible, largestPiece, removeBoundaries }: AssembleOptions): Record<string, unknown> {
  return toBorder({ overlap, minArea, minVisible, largestPiece, removeBoundaries });
}

/**
 * The label map of `candidates` at a detection threshold: what `predict` answers with that `bboxThreshold` and `adaptiveThreshold:
 * false`. Without `threshold`: what `predict` answers with the options that the candidates were found with.
 * @throws CellsamError ERR_INVALID_ARGUMENT for a threshold below the candidates' floors
 */
export async function assemblePrediction(
  candidates: Candidates,
  options: AssembleOptions & { threshold?: number } = {},
): Promise<Prediction> {
  const { threshold } = options;
  const given = threshold === undefined ? {} : { threshold };
  const answer = await engineCallAsync("infer.assemble", {
    candidates: toBorder(candidates),
    options: rules(options),
    ...given,
  });
  return fromBorder(answer) as Prediction;
}

/**
 * Compares what `candidates` give at every distinct score with the truth [H,W] (-1 = ignored), without a label map for each.
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ
 */
export async function sweepThresholds(
  candidates: Candidates,
  truth: NdArray<Int32Array>,
  options: AssembleOptions = {},
): Promise<ImageSweep> {
  const answer = await engineCallAsync("infer.sweep", { candidates: toBorder(candidates), options: rules(options), truth });
  const { scores, predicted, truePositives, predictedPixels, sharedPixels, ...rest } = fromBorder(answer) as Record<
    "scores" | "predicted" | "truePositives" | "predictedPixels" | "sharedPixels",
    NdArray<Float64Array>
  > &
    Pick<ImageSweep, "truth" | "truthPixels" | "floor">;
  return {
    ...rest,
    scores: scores.data,
    predicted: predicted.data,
    truePositives: truePositives.data,
    predictedPixels: predictedPixels.data,
    sharedPixels: sharedPixels.data,
  };
}
