/** How boxes become labelled cells: the options of prediction and evaluation. */

import type { z } from "zod";
import type { InferenceOptions } from "../engine/session.js";
import { once } from "../lazily.js";
import { checkIntensity, type IntensityConfig, intensityFields, intensityOf } from "./data.js";
import { choice, flag, integer, ratio, ratioBelow, zeroOrInteger, zod } from "./fields.js";
import { modelFields } from "./model.js";
import { parseConfig } from "./parse.js";
import { checkShipped, predictionOverShipped } from "./shippedWeights.js";
import { labelFields, readFields } from "./source.js";

export const inferenceFields = () => ({
  bboxThreshold: ratio().default(0.4).describe("Smallest detection score."),
  adaptiveThreshold: flag()
    .default(true)
    .describe("CellSAM's own rule: moves the threshold towards the gap between high and low scores."),
  nmsIou: ratio().default(1).describe("Boxes that overlap a better one by more than this IoU are dropped; 1 keeps all."),
  iouThreshold: ratio().default(0.5).describe("Smallest IoU that the mask decoder predicts for its own mask."),
  maskThreshold: ratio().default(0.4).describe("Probability from which on a pixel belongs to a mask."),
  minArea: integer(0).default(25).describe("Pixels below which a cell is dropped."),
  overlap: choice(["score", "official"])
    .default("score")
    .describe("Which cell keeps pixels that two claim: the one with the higher score, or as in the official code."),
  minVisible: ratio().default(0.5).describe("A cell that keeps less than this share of its mask after overlaps is dropped."),
  largestPiece: flag()
    .default(true)
    .describe("A cell is one piece: islands of a mask, and what better cells cut off, are dropped."),
  removeBoundaries: flag().default(false).describe("Takes one pixel off the border between cells."),
  promptChunk: integer(1).default(32).describe("Prompts that go through the mask decoder at once: memory against speed."),
  factoredDecoder: flag()
    .default(true)
    .describe("The mask decoder in its faster formulation, the same function; false: as in the paper."),
  tileSize: zeroOrInteger(32, 8192)
    .nullable()
    .default(null)
    .describe(
      "Tile side in pixels; 0 shows the model the whole image at once; null: as in training (0 where nothing was trained).",
    ),
  tileOverlap: ratioBelow(0.9).default(0.25).describe("Share of a tile that it has in common with the next one."),
});

export const inferenceSchema = once(() => zod().strictObject(inferenceFields()));
export type InferenceConfig = z.output<ReturnType<typeof inferenceSchema>>;

/** How answers are measured, and what thresholds are looked at. */
export const evaluationSchema = once(() =>
  zod().strictObject({
    iouThreshold: ratioBelow(1)
      .default(0.5)
      .describe("DeepCell's counts take a cell as found above this IoU; its cutoff1 is 1 - this."),
    cutoff2: ratio()
      .default(0.1)
      .describe("DeepCell's cutoff2: the least IoU of a pair of which one lies at least half in the other."),
    boundaryTolerance: ratioBelow(64).default(2).describe("Pixels between boundary pixels that count as the same."),
    thresholdFloor: ratio()
      .default(0.01)
      .describe("The lowest detection score that the search for the best threshold looks at."),
    maxCandidates: integer(1).default(1000).describe("Of a tile, in that search; those above bboxThreshold stay in any case."),
  }),
);
export type EvaluationConfig = z.output<ReturnType<typeof evaluationSchema>>;

/** Settings of `cellsam evaluate --predictions`: how the true masks are read, and how answers are measured. */
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
export type PredictConfig = z.output<ReturnType<typeof predictSchema>>;
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
