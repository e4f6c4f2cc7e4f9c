/** Estimates the disk space of cached features of frozen backbones. */
import type { ExperimentConfig } from "../config/experiment.js";

/** Features of one tile: image tokens per side, and numbers per token; native/model/model_size.h. */
const shapes: Record<string, { grid: number; width: number }> = {
  vit_b: { grid: 64, width: 768 },
  vit_l: { grid: 64, width: 1024 },
  vit_h: { grid: 64, width: 1280 },
  tiny: { grid: 16, width: 96 },
};

/**
 * Bytes for all tiles in all flips and turns, or versions, that training can draw; null where `sizeOverrides` change the
 * backbone. While `precision` is "auto", the most that it can be.
 */
export function featureBytes(
  config: ExperimentConfig,
  { precision, tiles, folds }: { precision: ExperimentConfig["precision"]; tiles: number; folds: number },
): number | null {
  const { size, sizeOverrides, featureCache, featureCacheGb } = config;
  const backbones = frozenBackbones(config, folds);
  if (!featureCache || backbones === 0) return 0;
  const shape = shapes[size];
  if (!shape || Object.keys(sizeOverrides).some((key) => /^(image_?size|patch|embed_?dim)$/i.test(key))) return null;
  const { grid, width } = shape;
  const dtype = config.featureDtype === "auto" ? precision : config.featureDtype;
  const bytes = grid * grid * width * (dtype === "bf16" ? 2 : 4) * tiles * versionsOf(config) * backbones;
  return featureCacheGb === null ? bytes : Math.min(bytes, featureCacheGb * 1e9);
}

/** How many different versions of each tile training uses repeatedly. */
export function versionsOf({ augmentation, complexAugmentation, augmentationVariants }: ExperimentConfig): number {
  if (!augmentation) return 1;
  // The tile itself, for validation, and its augmented versions.
  return complexAugmentation ? 1 + augmentationVariants : 8;
}

/** Number of backbones with different weights that are frozen in some stage of some fold. */
function frozenBackbones({ stages, stage1Config, stage2Config }: ExperimentConfig, folds: number): number {
  const { stage1Type, freezeBackbone, transferWeights } = stage1Config;
  const detector = stages.includes(1) && (stage1Type === "head_only" || (freezeBackbone && stage1Type !== "image_encoder"));
  const onEncoder = stage1Type === "image_encoder" || stage1Type === "all_backbones";
  const encoder = stages.includes(1) && freezeBackbone && onEncoder;
  const maskModel = stages.includes(2) && (stage2Config.trainNeckOnly || stage2Config.freezeImageEncoder);
  // Stage 1 changes the encoder of each fold where it trains it or copies the detector's into it.
  const changed = stages.includes(1) && (transferWeights || (onEncoder && !freezeBackbone));
  return Number(detector) + (changed && maskModel ? folds + Number(encoder) : Number(encoder || maskModel));
}
