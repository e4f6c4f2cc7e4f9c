/**
 * Settings of the feature cache, which keeps the outputs of frozen backbones. A backbone that does not train returns the same
 * for the same image, and is most of the work of a step: stage 2 has a frozen backbone unless its image encoder trains, stage 1
 * when `freezeBackbone` is set or only the head trains.
 */

import type { z } from "zod";
import { features } from "../settings/groups.js";
import { packageVersion } from "../version.js";
import { flag, setting } from "./fields.js";

export const featureFields = () => ({
  featureCache: flag()
    .default(true)
    .describe(
      "Caches the features of a frozen backbone in outputDir/.features, for all epochs, folds, trials and later runs. Costs " +
        "disk space, and changes no result.",
    ),
  featureCacheGb: setting(features.featureCacheGb).describe(
    "Limit of the disk space of all cached features, in GB; null: a fifth of the free space, at most 64. Beyond it the " +
      "oldest are removed.",
  ),
  featureCacheMemoryGb: setting(features.featureCacheMemoryGb).describe(
    "Limit of the memory for features that were read from disk, in GB; null: the memory that is available on the system.",
  ),
  featureDtype: setting(features.featureDtype).describe(
    "Type of numbers of a frozen backbone's features, cached or not. auto: that of precision, which adds no rounding; bf16 " +
      "with precision fp32 halves the disk space and rounds the features.",
  ),
});

type FeatureConfig = z.output<z.ZodObject<ReturnType<typeof featureFields>>> & { outputDir: string };

/** The options of `beginStage` that follow from these settings. */
export function featureOptions(config: FeatureConfig) {
  const { featureCache, featureCacheGb, featureCacheMemoryGb, featureDtype, outputDir } = config;
  return {
    featureCacheDir: featureCache ? `${outputDir}/.features` : null,
    featureCacheGb,
    featureCacheMemoryGb,
    featureDtype,
    featureCacheVersion: packageVersion,
  };
}
