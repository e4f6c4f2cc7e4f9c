/**
 * Defaults and ranges of all settings that the configuration and the engine share, in the groups in which the engine reads
 * them. What each one does is described in the schemas of lib/config/. The settings of losses are in losses/.
 */
import type { Settings } from "./kinds.js";
import { detectorLosses } from "./losses/detector.js";
import { maskLosses } from "./losses/table.js";

const share = { type: "number", minimum: 0, maximum: 1 } as const;
const positiveShare = { type: "number", exclusiveMinimum: 0, maximum: 1 } as const;
const nonNegative = { type: "number", minimum: 0 } as const;
const positive = { type: "number", exclusiveMinimum: 0 } as const;
const atLeastOne = { type: "number", minimum: 1 } as const;
const count = { type: "integer", minimum: 0 } as const;
const positiveCount = { type: "integer", minimum: 1 } as const;
const off = { type: "boolean", default: false } as const;
const on = { type: "boolean", default: true } as const;
const channel = { choices: ["red", "green", "blue"], default: null } as const;
const tileSide = { type: "integer", minimum: 32, maximum: 8192 } as const;
const tileOverlap = { type: "number", minimum: 0, exclusiveMaximum: 0.9, default: 0.25 } as const;

/** A model in memory. */
export const session = {
  generation: { choices: ["plain", "adv"], default: "plain" },
  precision: { choices: ["auto", "fp32", "bf16"], default: "auto" },
  float32MatmulPrecision: { choices: ["highest", "high"], default: "highest" },
  seed: { type: "integer", minimum: 0, maximum: 2 ** 32 - 1, default: 42 },
  threads: { type: "integer", minimum: 0, maximum: 1024, default: 0 },
  deterministic: off,
  priority: { choices: ["normal", "low"], default: "normal" },
} as const satisfies Settings;

/** How the pixels of a file are read. */
export const pixels = {
  normalize: on,
  intensity: { choices: ["percentile", "full"], default: "percentile" },
  greyChannel: { choices: ["blue", "all"], default: "blue" },
  nuclearChannel: channel,
  wholeCellChannel: channel,
  rgbTransform: off,
  stainTransform: off,
  inversion: off,
  eosin: { ...nonNegative, default: 0 },
  dab: { ...nonNegative, default: 1 },
  onlyNuclei: off,
  gamma: { ...positive, default: 2.1 },
} as const satisfies Settings;

/** How images are cut into training tiles. */
export const tiling = {
  tileSize: { ...tileSide, default: 512 },
  overlap: tileOverlap,
  minFragmentArea: { ...count, default: 0 },
} as const satisfies Settings;

/** How boxes become cells. */
export const inference = {
  bboxThreshold: { ...share, default: 0.4 },
  adaptiveThreshold: on,
  nmsIou: { ...share, default: 1 },
  // The IoU that the mask decoder predicts is not bounded: a threshold below 0 keeps every mask.
  iouThreshold: { type: "number", maximum: 1, default: 0.5 },
  maskThreshold: { ...share, default: 0.4 },
  minArea: { ...count, default: 25 },
  overlap: { choices: ["score", "official"], default: "score" },
  minVisible: { ...share, default: 0.5 },
  largestPiece: on,
  removeBoundaries: off,
  promptChunk: { ...count, default: 0 },
  factoredDecoder: on,
  tileSize: { ...tileSide, orZero: true, default: null },
  tileOverlap,
  tileBatch: { ...count, default: 0 },
} as const satisfies Settings;

/** Which detections the search for the best threshold considers. */
export const candidates = {
  floor: { ...share, default: 0.01 },
  maxCandidates: { ...count, default: 1000 },
} as const satisfies Settings;

/** How a predicted label map is compared with the true one. */
export const comparison = {
  iouThreshold: { type: "number", minimum: 0, exclusiveMaximum: 1, default: 0.5 },
  cutoff2: { ...share, default: 0.1 },
  boundaryTolerance: { type: "number", minimum: 0, exclusiveMaximum: 64, default: 2 },
} as const satisfies Settings;

/** One pass over the training tiles. */
export const epoch = {
  batchSize: { ...positiveCount, default: 1 },
  augment: off,
  complexAugmentation: off,
  augmentationVariants: { type: "integer", minimum: 0, maximum: 1_000_000, default: 0 },
} as const satisfies Settings;

/** The cache of features of frozen backbones. */
export const features = {
  featureCacheGb: { ...nonNegative, default: null },
  featureCacheMemoryGb: { ...positive, default: null },
  featureDtype: { choices: ["auto", "fp32", "bf16"], default: "auto" },
} as const satisfies Settings;

const scheduler = { choices: ["none", "step", "plateau", "cosine"] } as const;

/** Settings of both stages. */
export const training = {
  learningRate: { ...positive, default: 1e-4 },
  optimizer: { choices: ["adamw", "muon", "adam", "sgd"], default: "adamw" },
  weightDecay: { ...share, default: 1e-4 },
  warmupFraction: { type: "number", minimum: 0, exclusiveMaximum: 1, default: 0 },
  gradClip: { ...nonNegative, default: 1 },
  accumulate: { ...positiveCount, default: 1 },
  activationCheckpointing: off,
  backboneLrRatio: { ...positiveShare, default: 1 },
  loraRank: { ...count, default: 0 },
  loraAlpha: { ...positive, default: null },
  loraLayers: { choices: ["attention", "mlp", "all"], default: "attention" },
} as const satisfies Settings;

/** Stage 1, the detector. */
export const stage1 = {
  scheduler: { ...scheduler, default: "step" },
  stage1Type: { choices: ["cellfinder", "image_encoder", "all_backbones", "head_only"], default: "cellfinder" },
  headScope: { choices: ["full", "prediction"], default: "full" },
  focalAlpha: { ...share, default: 0.25 },
  auxLoss: on,
  denseLossWeight: { ...nonNegative, default: 0 },
  setCostClass: { ...nonNegative, default: 1 },
  setCostBbox: { ...nonNegative, default: 1 },
  setCostGiou: { ...nonNegative, default: 1 },
  freezeBackbone: off,
} as const satisfies Settings;

/** Stage 2, the masks. */
export const stage2 = {
  scheduler: { ...scheduler, default: "none" },
  useBoundaryLoss: { type: "boolean", default: null },
  onlineHardNegativeMining: off,
  onlineHardNegativeMiningWeighted: off,
  ohemFraction: { ...positiveShare, default: 0.1 },
  ohemHardWeight: { ...atLeastOne, default: 2 },
  ohemHardWeightMin: { ...atLeastOne, default: 1.2 },
  ohemHardWeightMax: { ...atLeastOne, default: 2.5 },
  trainNeckOnly: on,
  freezeImageEncoder: on,
  freezePromptEncoder: on,
  freezeMaskDecoder: on,
  iouLossWeight: { ...nonNegative, default: 0 },
  maxPrompts: { ...positiveCount, default: null },
  boxJitter: { type: "number", minimum: 0, exclusiveMaximum: 0.5, default: 0 },
  backgroundPrompt: off,
  promptChunk: { ...count, default: 0 },
  factoredDecoder: on,
  fusedMaskLoss: on,
  cudaGraphs: { choices: ["auto", "on", "off"], default: "auto" },
} as const satisfies Settings;

/** All groups by name, for the C++ build; each loss is a group. */
export const groups: Record<string, Settings> = {
  session,
  pixels,
  tiling,
  inference,
  candidates,
  comparison,
  epoch,
  features,
  training,
  stage1,
  stage2,
  detector: detectorLosses.settings,
  ...Object.fromEntries(maskLosses.map(({ name, settings }) => [name, settings])),
};
