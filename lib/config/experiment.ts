/**
 * The whole configuration of one training run, with the names (in camelCase) and defaults of the Python module, and flat where
 * that is flat.
 */

import type { z } from "zod";
import { once } from "../lazily.js";
import { epoch } from "../settings/groups.js";
import { configClass } from "./configClass.js";
import { checkIntensity, dataFields } from "./data.js";
import { distributedFields } from "./distributed.js";
import { featureFields } from "./features.js";
import { flag, integer, path, setting, text, zod } from "./fields.js";
import { nameProblem } from "./fileName.js";
import { evaluationSchema, inferenceSchema } from "./inference.js";
import { modelFields } from "./model.js";
import { monitoringFields } from "./monitoring.js";
import { readingFields } from "./reading.js";
import { checkShipped, overShipped } from "./shippedWeights.js";
import { stage1Schema } from "./stage1.js";
import { stage2Schema } from "./stage2.js";
import { strategyFields, strategyProblems } from "./strategy.js";

export const experimentSchema = once(() =>
  zod()
    .strictObject({
      ...dataFields(),
      ...readingFields(),
      outputName: text("must be the name of the experiment's folder")
        .regex(/^[^/\\]*[^/\\.\s][^/\\]*$/, { error: "must be a folder name without slashes", abort: true })
        .superRefine((name, context) => {
          const message = nameProblem(name);
          if (message) context.addIssue({ code: "custom", message });
        })
        .describe("Name of the experiment and of its folder."),
      outputDir: path().default("output").describe("Folder of experiments, relative to the working directory."),
      ...strategyFields(),
      stages: zod()
        .array(zod().union([zod().literal(1), zod().literal(2)], { error: "must be 1 or 2" }))
        .min(1, { error: "must list at least one stage" })
        .refine((list) => list.every((stage, i) => i === 0 || stage > (list[i - 1] as number)), {
          error: "must be [1], [2] or [1, 2]",
        })
        .default([1, 2])
        .describe("Which stages are trained: 1 the detector, 2 the masks."),
      stage1Config: stage1Schema().prefault({}).describe("Stage 1: the detector."),
      stage2Config: stage2Schema().prefault({}).describe("Stage 2: the masks."),
      batchSize: setting(epoch.batchSize).describe("Tiles in a step."),
      ...modelFields(),
      ...featureFields(),
      ...distributedFields(),
      inference: inferenceSchema().prefault({}).describe("How boxes become cells, in evaluation and prediction."),
      evaluation: evaluationSchema().prefault({}).describe("How predictions are measured."),
      ...monitoringFields(),
      saveEvery: integer(1)
        .default(1)
        .describe(
          "Number of epochs between writes of the state from which a run resumes; it is also written whenever a run is " +
            "stopped.",
        ),
      saveVisualizations: flag()
        .default(true)
        .describe(
          "Draws the best and the worst validation images with their true and predicted outlines, and the curves of losses.",
        ),
      preeval: flag()
        .default(false)
        .describe(
          "Evaluates the model on the validation images also before its training, to compare. Costs one prediction of each " +
            "of these images, as the evaluation afterwards does.",
        ),
      tuneThreshold: flag()
        .default(true)
        .describe(
          "After the training takes the detection threshold with the highest F1 on the validation images, where that gains 0.02 or " +
            "more on 50 cells or more and inference.bboxThreshold and adaptiveThreshold are at their defaults. The scores after the " +
            "training are at it, and predictions with the experiment use it.",
        ),
      evaluateEvery: integer(0)
        .default(0)
        .describe(
          "Evaluates the weights on the validation images (without validation, on the training images) after every so many " +
            "epochs, for a curve of F1 and the other scores; 0: never. Nothing is chosen by them, and the training ends in the " +
            "same weights. Costs one prediction of each of these images. In stage 1 masks are those of the weights that the " +
            "training starts from; with stage1_type image_encoder stage 1 is left out, since its head would see another " +
            "backbone.",
        ),
      debug: flag()
        .default(false)
        .describe(
          "Logs every step with its loss components and the memory in use, and draws predictions after epochs (the stages' " +
            "visualize settings).",
        ),
    })
    .superRefine((config, context) => {
      checkIntensity(config, context);
      checkShipped(config, context);
      if (config.complexAugmentation && !config.augmentation) {
        context.addIssue({
          code: "custom",
          path: ["complexAugmentation"],
          message: "needs augmentation: true, to which it adds",
        });
      }
      if (config.augmentationVariants > 0 && !config.complexAugmentation) {
        const message = "has no effect without complexAugmentation: true";
        context.addIssue({ code: "custom", path: ["augmentationVariants"], message });
      }
      for (const { key, message } of strategyProblems(config)) context.addIssue({ code: "custom", path: [key], message });
      if (config.stage1Config.transferWeights && !config.stages.includes(1)) {
        context.addIssue({
          code: "custom",
          path: ["stage1Config", "transferWeights"],
          message: "is true although stage 1 is not in `stages`",
        });
      }
    }),
);

export type ExperimentConfig = z.output<ReturnType<typeof experimentSchema>>;
/** All settings of an experiment, checked, with their defaults. @throws CellsamError ERR_CONFIG */
export const ExperimentConfig = configClass("ExperimentConfig", experimentSchema, {}, overShipped);
/** The settings of an experiment as a caller gives them: all but imgPath, maskPath and outputName may be absent. */
export type ExperimentInput = z.input<ReturnType<typeof experimentSchema>>;
