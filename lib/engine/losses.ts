/**
 * The losses that the trainer uses, their gradients, hard example mining and the assignment solver, on plain typed arrays: to
 * check a number, to plot a loss, or to train with a loop of your own. The work is done by the engine, in the dtype given.
 */
import { type MaskLossName, type MaskLossSettings, maskLosses } from "../settings/losses/table.js";
import { engineCommand } from "./commands.js";
import type { NdArray } from "./native.js";

export type FloatArray = Float32Array | Float64Array;

/** Mask logits or class probabilities: any real numbers, [N,H,W] or, for one mask, [H,W]. */
export type Masks = NdArray<FloatArray>;
/** The true masks, values 0 to 1, of the same shape. */
export type MaskTargets = NdArray<FloatArray | Uint8Array>;

export interface IgnoredPixels {
  /** Pixels where it is not 0 are left out of value and gradient, shape of the logits or [H,W] for all masks. Default: none. */
  ignored?: NdArray<Uint8Array>;
}

export interface FocalOptions extends IgnoredPixels {
  /** Weight of the positive pixels, 1 - alpha of the others; below 0: no weights. Default 0.25. */
  alpha?: number;
  /** How fast easy pixels fade out, at least 0. Default 2. */
  gamma?: number;
}

export interface DiceOptions extends IgnoredPixels {
  /** Added above and below the fraction line, greater than 0. Default 1. */
  smooth?: number;
}

export interface LossValue {
  /** One value per mask, [N]. */
  value: NdArray<Float64Array>;
  /** Gradient of the sum of the values, shape and dtype of the logits. */
  gradient: NdArray<FloatArray>;
}

/**
 * Focal loss (Lin et al., ICCV 2017): the mean over pixels of alpha_t (1 - p_t)^gamma BCE.
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ or an option is out of range.
 */
export function focalLoss(logits: Masks, target: MaskTargets, options: FocalOptions = {}): LossValue {
  return singleLoss("focal", logits, target, options);
}

/**
 * Soft Dice loss (Milletari et al., 3DV 2016): 1 - (2 Σpg + smooth) / (Σp + Σg + smooth), p = sigmoid(logits).
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ or an option is out of range.
 */
export function diceLoss(logits: Masks, target: MaskTargets, options: DiceOptions = {}): LossValue {
  return singleLoss("dice", logits, target, options);
}

/**
 * Boundary loss: the mean over pixels of |E(p) - E(g)|, E the Sobel edge strength sqrt(gx² + gy² + 1e-6) with zero padding.
 * Edges within one pixel of an ignored one are left out too.
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ.
 */
export function boundaryLoss(logits: Masks, target: MaskTargets, options: IgnoredPixels = {}): LossValue {
  return singleLoss("boundary", logits, target, options);
}

/** One loss without its weight. Its settings are named without the loss: `alpha` for `focalAlpha`. */
function singleLoss(name: MaskLossName, logits: Masks, target: MaskTargets, options: IgnoredPixels): LossValue {
  const { ignored, ...own } = options;
  const settings = Object.fromEntries(Object.keys(own).map((option) => [option, `${name}_${option}`]));
  return engineCommand(`loss.${name}`, { logits, target, ignored, ...named(own, settings) });
}

/** Options under the names of the settings that they are. Others keep their names, and the engine refuses them. */
function named(options: object, settings: Record<string, string>): object {
  return Object.fromEntries(Object.entries(options).map(([option, value]) => [settings[option] ?? option, value]));
}

type OwnSettings = Omit<MaskLossSettings, `${MaskLossName}LossWeight`>;

/**
 * The weight of each loss, such as `focalWeight` (one of weight 0 is not computed), and the settings of the losses, such as `focalGamma`,
 * `focalAlpha` and `diceSmooth`; ranges and defaults are those of stage 2. `useBoundary`: false leaves the boundary loss out, whatever its weight.
 */
export type MaskLossOptions = IgnoredPixels & { useBoundary?: boolean } & { [Name in `${MaskLossName}Weight`]?: number } & {
  [Name in keyof OwnSettings]?: number;
};

/** The weighted losses by name, [N] with one value per mask, and: */
export type MaskLossValue = Record<MaskLossName, NdArray<Float64Array>> & {
  /** The sum of the losses, [N]. */
  total: NdArray<Float64Array>;
  /** Gradient of the sum of the totals, shape and dtype of the logits. */
  gradient: NdArray<FloatArray>;
};

/**
 * The stage-2 loss per mask, weighted: focalWeight·focal + diceWeight·dice + boundaryWeight·boundary + ... over all losses of the masks.
 * @throws CellsamError ERR_INVALID_ARGUMENT when shapes differ, or an option is unknown or out of range.
 */
export function maskLoss(logits: Masks, target: MaskTargets, options: MaskLossOptions = {}): MaskLossValue {
  const weights = maskLosses.map(({ name }) => [`${name}Weight`, `${name}LossWeight`]);
  const settings = { ...Object.fromEntries(weights), useBoundary: "useBoundaryLoss" };
  return engineCommand("loss.mask", { logits, target, ...named(options, settings) });
}

/** The true cells of one image. */
export interface DetectionTargets {
  /** [T,4]: centre x, centre y, width, height, relative to the image. */
  boxes: NdArray<FloatArray>;
  /** [T]: the class of each box, from 0. */
  labels: NdArray<Int32Array>;
  /** [H,W], not 0 where the truth is unknown: unmatched queries at least half in it are left out of the class loss. Default: none. */
  ignored?: NdArray<Uint8Array>;
}

export interface DetectionLossOptions {
  /** Default 1. */
  ceWeight?: number;
  /** Default 5. */
  bboxWeight?: number;
  /** Default 2. */
  giouWeight?: number;
  /** Default 0.25; gamma is 2. */
  focalAlpha?: number;
  /** Adds the earlier decoder layers' losses to the total. Default true. */
  auxLoss?: boolean;
  /** Weights of the three parts of the matching cost. Default 1 each. */
  costClass?: number;
  costBbox?: number;
  costGiou?: number;
}

export interface DetectionLossValue {
  total: number;
  /** The weighted parts of the last layer. */
  ce: number;
  bbox: number;
  giou: number;
  /** Percent of the matched queries whose best class is wrong; 100 when nothing is matched. */
  classError: number;
  /** Gradients of the total, in the shapes of the predictions. */
  logitsGradient: NdArray<FloatArray>;
  boxesGradient: NdArray<FloatArray>;
}

/**
 * The stage-1 loss: queries are matched to cells at the least cost, then focal class loss, L1 and GIoU, divided by the number
 * of cells in the batch.
 * @param logits class logits [L,B,Q,C], the last decoder layer last
 * @param boxes predicted boxes [L,B,Q,4], centre x, centre y, width, height, 0 to 1
 * @param targets one entry per image; an image may have none (boxes of shape [0,4], labels of shape [0])
 * @throws CellsamError ERR_INVALID_ARGUMENT for wrong shapes or labels, ERR_NON_FINITE_COST for NaN predictions.
 */
export function detectionLoss(
  logits: NdArray<FloatArray>,
  boxes: NdArray<FloatArray>,
  targets: DetectionTargets[],
  options: DetectionLossOptions = {},
): DetectionLossValue {
  const settings = {
    ceWeight: "ceLossWeight",
    bboxWeight: "bboxLossWeight",
    giouWeight: "giouLossWeight",
    costClass: "setCostClass",
    costBbox: "setCostBbox",
    costGiou: "setCostGiou",
  };
  return engineCommand("loss.detection", { logits, boxes, targets, ...named(options, settings) });
}

export interface MiningOptions {
  /** Weight by how hard an example is, from hardWeightMin to hardWeightMax. Default false: hardWeight for every hard one. */
  weighted?: boolean;
  /** The part that counts as hard, greater than 0, at most 1; at least one example does. Default 0.1. */
  fraction?: number;
  /** Default 2. */
  hardWeight?: number;
  /** Default 1.2. */
  hardWeightMin?: number;
  /** Default 2.5. With one hard example the weight is half way between the two. */
  hardWeightMax?: number;
}

export interface MiningWeights {
  /** [N]; the trained loss is the mean of weight · total. */
  weights: NdArray<Float64Array>;
  /** How many count as hard. */
  selected: number;
  /** selected / N, 0 without examples. */
  ratio: number;
}

/**
 * Online hard example mining: weights for the totals [N] of a batch.
 * @throws CellsamError ERR_INVALID_ARGUMENT when totals is not [N] or fraction is out of range.
 */
export function miningWeights(totals: NdArray<FloatArray>, options: MiningOptions = {}): MiningWeights {
  const settings = {
    weighted: "onlineHardNegativeMiningWeighted",
    fraction: "ohemFraction",
    hardWeight: "ohemHardWeight",
    hardWeightMin: "ohemHardWeightMin",
    hardWeightMax: "ohemHardWeightMax",
  };
  return engineCommand("mining.weights", { totals, ...named(options, settings) });
}

export interface Assignment {
  /** Matched rows, ascending; min(rows, columns) of them. */
  rows: NdArray<Int32Array>;
  /** The column of each. */
  columns: NdArray<Int32Array>;
  /** The sum of the matched costs. */
  total: number;
}

/**
 * The one-to-one assignment of least total cost for a cost matrix [rows, columns]; Infinity forbids a pair.
 * @throws CellsamError ERR_INFEASIBLE_ASSIGNMENT when every assignment needs a forbidden pair, ERR_NON_FINITE_COST, with row
 * and column in its detail, for NaN or -Infinity.
 */
export function hungarian(cost: NdArray<FloatArray>): Assignment {
  return engineCommand("hungarian", { cost });
}
