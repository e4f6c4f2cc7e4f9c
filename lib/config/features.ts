/**
 * Whether the outputs of frozen trunks are kept. A trunk that does not train answers the same for the same picture, and is most of
 * the work of a step: stage 2 has one unless its image encoder trains, stage 1 with a frozen backbone or a head alone.
 */

import type { z } from "zod";
import { packageVersion } from "../version.js";
import { choice, flag, nonNegative, positive } from "./fields.js";

export const featureFields = () => ({
  featureCache: flag()
    .default(true)
    .describe(
      "Keeps the features of a frozen trunk in outputDir/.features, for all epochs, folds, trials and later runs. Costs disk space, and changes no result.",
    ),
  featureCacheGb: nonNegative()
    .nullable()
    .default(null)
    .describe("Most disk space of all kept features, in GB; null: a fifth of what is free, at most 64. Older ones make room."),
  featureCacheMemoryGb: positive()
    .nullable()
    .default(null)
    .describe("Most memory in which features that were read stay, in GB; null: as much as the system has to spare."),
  featureDtype: choice(["auto", "fp32", "bf16"])
    .default("auto")
    .describe(
      "Type of numbers of a frozen trunk's features, kept or not. auto: that of precision, which rounds nothing that the network would not round; bf16 with precision fp32 halves the disk space and rounds.",
    ),
});

type FeatureConfig = z.output<z.ZodObject<ReturnType<typeof featureFields>>> & { outputDir: string };

/** What `beginStage` takes of them. */
export function featureOptions(config: FeatureConfig) {
  const { featureCache, featureCacheGb, featureCacheMemoryGb, featureDtype, outputDir } = config;
  return {
    // The engine takes values only: an empty name, -1 and 0 stand for none.
    featureCacheDir: featureCache ? `${outputDir}/.features` : "",
    featureCacheGb: featureCacheGb ?? -1,
    featureCacheMemoryGb: featureCacheMemoryGb ?? 0,
    featureDtype,
    featureCacheVersion: packageVersion,
  };
}
