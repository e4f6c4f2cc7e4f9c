/** How boxes become labelled cells: the options of prediction and evaluation. */

import type { z } from "zod";
import type { InferenceOptions } from "../engine/session.js";
import { once } from "../lazily.js";
import { candidates, comparison, inference } from "../settings/groups.js";
import { checkIntensity, type IntensityConfig, intensityFields, intensityOf } from "./data.js";
import { flag, setting, zod } from "./fields.js";
import { modelFields } from "./model.js";
import { parseConfig } from "./parse.js";
import { checkShipped, predictionOverShipped } from "./shippedWeights.js";
import { labelFields, readFields } from "./source.js";

export const inferenceFields = () => ({
  bboxThreshold: setting(inference.bboxThreshold).describe("Smallest detection score."),
  adaptiveThreshold: setting(inference.adaptiveThreshold).describe(
    "CellSAM's own rule: moves the threshold towards the gap between high and low scores.",
  ),
  nmsIou: setting(inference.nmsIou).describe("Boxes that overlap a better one by more than this IoU are dropped; 1 keeps all."),
  iouThreshold: setting(inference.iouThreshold).describe(
    "Smallest IoU that the mask decoder predicts for its own mask; below 0 keeps all.",
  ),
  maskThreshold: setting(inference.maskThreshold).describe("Probability from which on a pixel belongs to a mask."),
  minArea: setting(inference.minArea).describe("Pixels below which a cell is dropped."),
  overlap: setting(inference.overlap).describe(
    "Which cell keeps pixels that two claim: the one with the higher score, or as in the official code.",
  ),
  minVisible: setting(inference.minVisible).describe(
    "A cell that keeps less than this share of its mask after overlaps is dropped.",
  ),
  largestPiece: setting(inference.largestPiece).describe(
    "A cell is one piece: islands of a mask, and what better cells cut off, are dropped.",
  ),
  removeBoundaries: setting(inference.removeBoundaries).describe("Takes one pixel off the border between cells."),
  promptChunk: setting(inference.promptChunk).describe(
    "Prompts that go through the mask decoder at once: memory against speed.",
  ),
  factoredDecoder: setting(inference.factoredDecoder).describe(
    "The mask decoder in its faster formulation, the same function; false: as in the paper.",
  ),
  tileSize: setting(inference.tileSize).describe(
    "Tile side in pixels; 0 shows the model the whole image at once; null: as in training (0 where nothing was trained).",
  ),
  tileOverlap: setting(inference.tileOverlap).describe("Share of a tile that it has in common with the next one."),
});

export const inferenceSchema = once(() => zod().strictObject(inferenceFields()));
/** How boxes become cells: the settings of `inference`, with their defaults. */
export type InferenceConfig = z.output<ReturnType<typeof inferenceSchema>>;

/** How predictions are measured, and what thresholds are looked at. */
export const evaluationSchema = once(() =>
  zod().strictObject({
    iouThreshold: setting(comparison.iouThreshold).describe(
      "DeepCell's counts take a cell as found above this IoU; its cutoff1 is 1 - this.",
    ),
    cutoff2: setting(comparison.cutoff2).describe(
      "DeepCell's cutoff2: the least IoU of a pair of which one lies at least half in the other.",
    ),
    boundaryTolerance: setting(comparison.boundaryTolerance).describe("Pixels between boundary pixels that count as the same."),
    thresholdFloor: setting(candidates.floor).describe(
      "The lowest detection score that the search for the best threshold looks at.",
    ),
    maxCandidates: setting(candidates.maxCandidates).describe(
      "Of a tile, in that search; those above bboxThreshold stay in any case.",
    ),
  }),
);
export type EvaluationConfig = z.output<ReturnType<typeof evaluationSchema>>;

/** Settings of `cellsam evaluate --predictions`: how the true masks are read, and how predictions are measured. */
export const truthSchema = once(() =>
  zod().strictObject({
    ...labelFields(),
    binaryMasks: flag().default(false).describe("Masks are foreground masks, whose connected parts become the cells."),
    iouThreshold: evaluationSchema().shape.iouThreshold,
    cutoff2: evaluationSchema().shape.cutoff2,
    boundaryTolerance: evaluationSchema().shape.boundaryTolerance,
  }),
);

/** Settings of `cellsam predict` and `cellsam evaluate`: a model, how it reads pixels, and how it decides. */
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

/** Checks the input and fills in defaults: those that come with the weights, then everyone's. @throws CellsamError ERR_CONFIG */
export function predictConfig(input: PredictInput): PredictConfig {
  return parseConfig("prediction", predictSchema(), input, predictionOverShipped);
}

/** The options of the engine's `predict` that a configuration decides. */
export function predictOptions(
  config: IntensityConfig & { inference: InferenceConfig },
  trainedTileSize = 0,
): Required<InferenceOptions> {
  const { inference } = config;
  return { ...intensityOf(config), ...inference, tileSize: inference.tileSize ?? trainedTileSize };
}
