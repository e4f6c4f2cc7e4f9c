/** How boxes become labelled cells: the options of prediction and evaluation. */
import { z } from "zod";
import type { InferenceOptions } from "../session.js";
import { intensityFields } from "./data.js";
import { choice, flag, integer, ratio, ratioBelow, zeroOrInteger } from "./fields.js";
import { modelFields } from "./model.js";

export const inferenceFields = {
  /** Smallest detection score. */
  bboxThreshold: ratio().default(0.4),
  /** CellSAM's own rule: moves the threshold towards the gap between high and low scores. */
  adaptiveThreshold: flag().default(true),
  /** Boxes that overlap a better one by more than this IoU are dropped; 1 keeps all. */
  nmsIou: ratio().default(1),
  /** Smallest IoU that the mask decoder predicts for its own mask. */
  iouThreshold: ratio().default(0.5),
  maskThreshold: ratio().default(0.4),
  /** Pixels below which a cell is dropped. */
  minArea: integer(0).default(25),
  /** Which cell keeps pixels that two claim: the one with the higher score, or as in the official code. */
  overlap: choice(["score", "official"]).default("score"),
  /** A cell that keeps less than this share of its mask after overlaps is dropped. */
  minVisible: ratio().default(0.5),
  /** A cell is one piece: islands of a mask, and what better cells cut off, are dropped. */
  largestPiece: flag().default(true),
  removeBoundaries: flag().default(false),
  promptChunk: integer(1).default(32),
  /** Tile side in pixels; 0 shows the model the whole image at once; null: as in training (0 where nothing was trained). */
  tileSize: zeroOrInteger(32, 8192).nullable().default(null),
  tileOverlap: ratioBelow(0.9).default(0.25),
};

export const inferenceSchema = z.strictObject(inferenceFields);
export type InferenceConfig = z.output<typeof inferenceSchema>;

/** Settings of `cellsam predict` and `cellsam evaluate`: a model, how it reads pixels, and how it decides. */
export const predictSchema = z.strictObject({ ...modelFields, ...intensityFields, inference: inferenceSchema.prefault({}) });
export type PredictConfig = z.output<typeof predictSchema>;
export type PredictInput = z.input<typeof predictSchema>;

/** The options of the engine's `predict` that a configuration decides. */
export function predictOptions(
  config: Pick<PredictConfig, "normalize" | "intensity" | "greyChannel" | "inference">,
  trainedTileSize = 0,
): Required<InferenceOptions> {
  const { normalize, intensity, greyChannel, inference } = config;
  return { normalize, intensity, greyChannel, ...inference, tileSize: inference.tileSize ?? trainedTileSize };
}
