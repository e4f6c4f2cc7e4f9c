/** How boxes become labelled cells: the options of prediction and evaluation. */

import type { z } from "zod";
import type { InferenceOptions } from "../engine/session.js";
import { once } from "../lazily.js";
import { candidates, comparison, inference } from "../settings/groups.js";
import { checkIntensity, type IntensityConfig, intensityFields, intensityOf } from "./data.js";
import { flag, setting, zod } from "./fields.js";
import { modelFields } from "./model.js";
import { parseConfig } from "./parse.js";
import { labelFields, readFields } from "./reading.js";
import { checkShipped, predictionOverShipped } from "./shippedWeights.js";

export const inferenceFields = () => ({
  bboxThreshold: setting(inference.bboxThreshold).describe("Smallest detection score."),
  adaptiveThreshold: setting(inference.adaptiveThreshold).describe(
    "CellSAM's own rule, which moves the threshold towards the gap between high and low scores.",
  ),
  nmsIou: setting(inference.nmsIou).describe(
    "Boxes whose IoU with a box of a higher score is above this are dropped; 1 keeps all.",
  ),
  iouThreshold: setting(inference.iouThreshold).describe(
    "Smallest IoU that the mask decoder may predict for its own mask; a value below 0 keeps all masks.",
  ),
  maskThreshold: setting(inference.maskThreshold).describe("Smallest probability of a pixel that belongs to a mask."),
  minArea: setting(inference.minArea).describe("Smallest area of a cell, in pixels; smaller ones are dropped."),
  overlap: setting(inference.overlap).describe(
    "Which of two overlapping cells keeps the pixels: score, the one with the higher score; official, as in CellSAM's code.",
  ),
  minVisible: setting(inference.minVisible).describe(
    "Cells that keep less than this share of their mask after overlaps are dropped.",
  ),
  largestPiece: setting(inference.largestPiece).describe(
    "Keeps only the largest connected piece of a cell, and drops islands of its mask and pieces that cells of a higher score " +
      "cut off.",
  ),
  removeBoundaries: setting(inference.removeBoundaries).describe(
    "Removes the pixels at the left and lower edge of each cell, so that cells that touch are separated.",
  ),
  promptChunk: setting(inference.promptChunk).describe(
    "Number of prompts that go through the mask decoder at once. 0: 32 on a CPU; on a GPU as many as a fixed budget of memory " +
      "holds. Fewer are taken when the memory does not suffice.",
  ),
  factoredDecoder: setting(inference.factoredDecoder).describe(
    "Computes the mask decoder in a faster formulation of the same function where that is faster: on the CPU; with `false` always as " +
      "in the paper.",
  ),
  tileSize: setting(inference.tileSize).describe(
    "Tile side in pixels; 0 shows the model the whole image at once; null: as in training (0 where nothing was trained).",
  ),
  tileOverlap: setting(inference.tileOverlap).describe("Share of a tile's side that it has in common with the next tile."),
  tileBatch: setting(inference.tileBatch).describe(
    "Number of tiles of an image that go through the networks at once. 0: as many as a fixed budget of memory holds; on a CPU " +
      "that is one, or four with the size tiny. Fewer are taken when the memory does not suffice.",
  ),
});

export const inferenceSchema = once(() => zod().strictObject(inferenceFields()));
/** How boxes become cells: the settings of `inference`, with their defaults. */
export type InferenceConfig = z.output<ReturnType<typeof inferenceSchema>>;

/** How predictions are measured, and which thresholds are tried. */
export const evaluationSchema = once(() =>
  zod().strictObject({
    iouThreshold: setting(comparison.iouThreshold).describe(
      "IoU above which DeepCell's metric counts a cell as found; its cutoff1 is 1 minus this.",
    ),
    cutoff2: setting(comparison.cutoff2).describe(
      "DeepCell's cutoff2: the smallest IoU of a pair of cells of which one lies at least half in the other.",
    ),
    boundaryTolerance: setting(comparison.boundaryTolerance).describe(
      "Largest distance, in pixels, of two boundary pixels that count as the same.",
    ),
    thresholdFloor: setting(candidates.floor).describe("Lowest detection threshold that the search for the best one tries."),
    maxCandidates: setting(candidates.maxCandidates).describe(
      "Largest number of detections of a tile in that search; those above bboxThreshold are always kept.",
    ),
  }),
);
export type EvaluationConfig = z.output<ReturnType<typeof evaluationSchema>>;

/** Settings of `cellsam evaluate --predictions`: how the true masks are read, and how predictions are measured. */
export const truthSchema = once(() =>
  zod().strictObject({
    ...labelFields(),
    binaryMasks: flag()
      .default(false)
      .describe("Masks show only foreground and background; each connected part of the foreground is a cell."),
    iouThreshold: evaluationSchema().shape.iouThreshold,
    cutoff2: evaluationSchema().shape.cutoff2,
    boundaryTolerance: evaluationSchema().shape.boundaryTolerance,
  }),
);

/** Settings of `cellsam predict` and `cellsam evaluate`: the model, how pixels are read, and how boxes become cells. */
export const predictSchema = once(() =>
  zod()
    .strictObject({
      ...modelFields(),
      ...intensityFields(),
      ...readFields(),
      ...labelFields(),
      inference: inferenceSchema().prefault({}).describe("How boxes become cells, in evaluation and prediction."),
      evaluation: evaluationSchema().prefault({}).describe("How predictions are measured."),
    })
    .superRefine((config, context) => {
      checkIntensity(config, context);
      checkShipped(config, context);
    }),
);
/** The settings with which a model predicts, with their defaults. */
export type PredictConfig = z.output<ReturnType<typeof predictSchema>>;
/** The settings with which a model predicts as a caller gives them: each may be absent. */
export type PredictInput = z.input<ReturnType<typeof predictSchema>>;

/**
 * Checks the input and fills in defaults: those that come with the weights, then the general ones.
 * @throws CellsamError ERR_CONFIG
 */
export function predictConfig(input: PredictInput): PredictConfig {
  return parseConfig("prediction", predictSchema(), input, predictionOverShipped);
}

/** The settings of one detection threshold for all, in place of the configured rule; none for null. */
export function fixedThreshold(threshold: number | null): { bboxThreshold?: number; adaptiveThreshold?: boolean } {
  return threshold === null ? {} : { bboxThreshold: threshold, adaptiveThreshold: false };
}

/** The options of `Session.predict` that follow from a configuration. */
export function predictOptions(
  config: IntensityConfig & { inference: InferenceConfig },
  trainedTileSize = 0,
): Required<InferenceOptions> {
  const { inference } = config;
  return { ...intensityOf(config), ...inference, tileSize: inference.tileSize ?? trainedTileSize };
}
