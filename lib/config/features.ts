/**
 * Whether the outputs of frozen backbones are kept. A backbone that does not train returns the same for the same picture, and is most
 * of the work of a step: stage 2 has one unless its image encoder trains, stage 1 with a frozen backbone or a head alone.
 */

import type { z } from "zod";
import { features } from "../settings/groups.js";
import { packageVersion } from "../version.js";
import { flag, setting } from "./fields.js";

export const featureFields = () => ({
  featureCache: flag()
    .default(true)
    .describe(
      "Keeps the features of a frozen backbone in outputDir/.features, for all epochs, folds, trials and later runs. Costs disk space, and changes no result.",
    ),
  featureCacheGb: setting(features.featureCacheGb).describe(
    "Most disk space of all kept features, in GB; null: a fifth of what is free, at most 64. Older ones make room.",
  ),
  featureCacheMemoryGb: setting(features.featureCacheMemoryGb).describe(
    "Most memory in which features that were read stay, in GB; null: as much as the system has to spare.",
  ),
  featureDtype: setting(features.featureDtype).describe(
    "Type of numbers of a frozen backbone's features, kept or not. auto: that of precision, which rounds nothing that the network would not round; bf16 with precision fp32 halves the disk space and rounds.",
  ),
});

type FeatureConfig = z.output<z.ZodObject<ReturnType<typeof featureFields>>> & { outputDir: string };

/** What `beginStage` takes of them. */
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
