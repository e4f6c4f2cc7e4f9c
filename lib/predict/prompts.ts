/** What shows one cell of an embedded image: checks it, and brings it into the engine's form. */
import type { PromptArrays } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { checkKeys, keysOf } from "../optionKeys.js";

/** SAM's own answer before it is brought to the image's size: to pass back as `mask`, to refine it by further points. */
export interface LowResolutionMask {
  /** Logits, [m,m]. */
  data: Float32Array;
  shape: number[];
  /** Which tile of the image it belongs to. */
  tile: number;
}

/**
 * At least one of points, box and mask. Coordinates are pixels of the full image: the centre of the top left pixel is at
 * (0.5, 0.5).
 */
export interface Prompt {
  /** x and y of each. */
  points?: readonly (readonly [x: number, y: number])[];
  /** For each point 1 where it lies on the cell, 0 where it lies beside it. Default: all on the cell. */
  labels?: readonly number[];
  /** x0, y0, x1, y1. */
  box?: readonly [x0: number, y0: number, x1: number, y1: number] | Float32Array;
  /** The `lowResolution` of an earlier answer for the same cell. */
  mask?: LowResolutionMask;
  /** Chooses the best of SAM's masks for the whole, a part and a part of the part. Default: only where a point is all there is. */
  multimask?: boolean;
}

const promptKeys = keysOf<Prompt>({ points: true, labels: true, box: true, mask: true, multimask: true });

/** Which prompts a network of this size was trained with: there is a SAM of every size but tiny, which only this package trains. */
export function trainedPrompts(size: string): "all" | "boxes" {
  return size === "tiny" ? "boxes" : "all";
}

function refused(problem: string): CellsamError {
  return new CellsamError("ERR_INVALID_ARGUMENT", `segment: ${problem}`);
}

/** A prompt on an image of this size. @throws CellsamError ERR_INVALID_ARGUMENT */
export function promptArrays(prompt: Prompt, size: { height: number; width: number }): PromptArrays {
  checkKeys("segment", prompt, promptKeys);
  const { points = [], labels = points.map(() => 1), box, mask, multimask } = prompt;
  checkPoints(points, labels, size);
  if (box) checkBox(box, size);
  if (mask) checkMask(mask);
  if (points.length === 0 && !box && !mask) throw refused("a prompt needs points, a box, or the mask of an earlier answer");
  if (!labels.includes(1) && !box && !mask)
    throw refused("all points are beside the cell (label 0): give a point on it, a box, or the mask of an earlier answer");
  const alone = points.length === 1 && !box && !mask;
  return {
    ...(points.length > 0 && {
      points: { data: Float64Array.from(points.flat()), shape: [points.length, 2] },
      labels: { data: Int32Array.from(labels), shape: [labels.length] },
    }),
    ...(box && { box: { data: Float64Array.from(box), shape: [4] } }),
    ...(mask && { mask: { data: mask.data, shape: mask.shape }, tile: mask.tile }),
    multimask: multimask ?? alone,
  };
}

function checkPoints(points: unknown, labels: unknown, { height, width }: { height: number; width: number }): void {
  if (!Array.isArray(points) || !points.every((point) => Array.isArray(point) && point.length === 2))
    throw refused("points must be a list of [x, y]");
  for (const [x, y] of points as [number, number][]) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) throw refused(`the point (${x}, ${y}) must be finite numbers`);
    if (x < 0 || y < 0 || x >= width || y >= height)
      throw refused(`the point (${x}, ${y}) lies outside of the image, which is ${width} x ${height} pixels`);
  }
  if (!Array.isArray(labels) || labels.length !== points.length)
    throw refused(`there must be a label for each of the ${points.length} points`);
  if (labels.some((label) => label !== 0 && label !== 1)) throw refused("a label must be 1, on the cell, or 0, beside it");
}

function checkBox(box: ArrayLike<number>, { height, width }: { height: number; width: number }): void {
  const sides = Array.from(box);
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = sides;
  if (sides.length !== 4 || !sides.every(Number.isFinite)) throw refused("a box must be four finite numbers: x0, y0, x1, y1");
  if (x1 <= x0 || y1 <= y0) throw refused(`the box [${sides.join(", ")}] is empty: x1 must be above x0, and y1 above y0`);
  if (x1 <= 0 || y1 <= 0 || x0 >= width || y0 >= height)
    throw refused(`the box [${sides.join(", ")}] lies outside of the image, which is ${width} x ${height} pixels`);
}

function checkMask({ data, shape, tile }: LowResolutionMask): void {
  const whole = data instanceof Float32Array && Array.isArray(shape) && Number.isSafeInteger(tile) && tile >= 0;
  if (!whole) throw refused("mask must be the lowResolution of an earlier answer");
  if (!data.every(Number.isFinite)) throw refused("mask holds NaN or infinity");
}
