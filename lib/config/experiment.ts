/** The whole configuration of one training run. The Python module's names (in camelCase) and defaults, flat where it is flat. */
import { z } from "zod";
import { dataFields, splitDefaults } from "./data.js";
import { choice, flag, integer, path } from "./fields.js";
import { inferenceSchema } from "./inference.js";
import { modelFields } from "./model.js";
import { configClass } from "./parse.js";
import { stage1Schema } from "./stage1.js";
import { stage2Schema } from "./stage2.js";

export const strategies = ["train_val_split"] as const;

export const experimentSchema = z
  .strictObject({
    ...dataFields,
    outputName: z
      .string({ error: "must be the name of the experiment's folder" })
      .regex(/^[^/\\]*[^/\\.\s][^/\\]*$/, { error: "must be a folder name without slashes" }),
    outputDir: path().default("output"),
    strategy: choice(strategies).default("train_val_split"),
    stages: z
      .array(z.union([z.literal(1), z.literal(2)], { error: "must be 1 or 2" }))
      .min(1, { error: "must list at least one stage" })
      .refine((list) => list.every((stage, i) => i === 0 || stage > (list[i - 1] as number)), {
        error: "must be [1], [2] or [1, 2]",
      })
      .default([1, 2]),
    stage1Config: stage1Schema.prefault({}),
    stage2Config: stage2Schema.prefault({}),
    batchSize: integer(1).default(1),
    ...modelFields,
    inference: inferenceSchema.prefault({}),
    /** Writes the resumable state every so many epochs; it is always written when a run is stopped. */
    saveEvery: integer(1).default(1),
    /** Draws the best and the worst validation images with their true and predicted outlines. */
    saveVisualizations: flag().default(true),
    /** Evaluates the untrained model on the validation images first. */
    preeval: flag().default(false),
    /** Logs every step with its loss components and the memory in use. */
    debug: flag().default(false),
  })
  .superRefine((config, context) => {
    for (const [key, value] of Object.entries(splitDefaults)) {
      if (config.splits !== null && config[key as keyof typeof splitDefaults] !== value) {
        context.addIssue({ code: "custom", path: [key], message: "has no effect with `splits`, where no split is drawn" });
      }
    }
    if (config.stage1Config.transferWeights && !config.stages.includes(1)) {
      context.addIssue({
        code: "custom",
        path: ["stage1Config", "transferWeights"],
        message: "is true although stage 1 is not in `stages`",
      });
    }
  });

export type ExperimentConfig = z.output<typeof experimentSchema>;
/** @throws CellsamError ERR_CONFIG */
export const ExperimentConfig = configClass("ExperimentConfig", experimentSchema);
export type ExperimentInput = z.input<typeof experimentSchema>;
