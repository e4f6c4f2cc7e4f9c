/** Settings of stage 1, the training of the detector (CellFinder). */

import type { z } from "zod";
import { once } from "../lazily.js";
import { stage1, training } from "../settings/groups.js";
import { type DetectorLossName, detectorLosses } from "../settings/losses/detector.js";
import { configClass } from "./configClass.js";
import { described, flag, setting, zod } from "./fields.js";
import { loraProblems, trainingFields } from "./training.js";
import { asksForPictures, drawingFields, drawingFlag } from "./visual.js";

export const stage1Schema = once(() =>
  zod()
    .strictObject({
      stage1Type: setting(stage1.stage1Type).describe(
        "What trains with the detector head: cellfinder, the ViT of CellFinder; image_encoder, that of SAM; all_backbones, " +
          "both; head_only, none.",
      ),
      headScope: setting(stage1.headScope).describe(
        '"full": the whole detector head; "prediction": only its output layers and query positions, as the Python module did.',
      ),
      ...trainingFields(stage1.scheduler),
      ...described(detectorLosses.settings),
      focalAlpha: setting(stage1.focalAlpha).describe(
        "Weight of positives in the focal loss of classes; that of negatives is 1 minus this.",
      ),
      auxLoss: setting(stage1.auxLoss).describe("Adds the losses of the decoder's earlier layers (auxiliary losses)."),
      denseLossWeight: setting(stage1.denseLossWeight).describe(
        "Weight of the losses of a dense head, which learns beside the detector from its image tokens and is left out of the " +
          "weights (Co-DETR, Zong et al., 2023); validation and the losses that are shown go without it. 0: none. Helps when " +
          "the detector learns from random weights (docs/learning.md).",
      ),
      setCostClass: setting(stage1.setCostClass).describe(
        "Weight of the class in the cost by which queries are matched to cells.",
      ),
      setCostBbox: setting(stage1.setCostBbox).describe("Weight of the L1 distance of boxes in the cost of matching."),
      setCostGiou: setting(stage1.setCostGiou).describe("Weight of the GIoU of boxes in the cost of matching."),
      backboneLrRatio: setting(training.backboneLrRatio).describe("Learning rate of the backbone as a share of the head's."),
      freezeBackbone: setting(stage1.freezeBackbone).describe("Trains the head alone."),
      transferWeights: flag()
        .default(false)
        .describe(
          "After the stage, copies the trained backbone to the other network: the detector's to SAM, or with stage1Type " +
            "image_encoder SAM's to the detector.",
        ),
      visualizePredictions: drawingFlag("true and predicted boxes"),
      ...drawingFields(1),
    })
    .superRefine((config, context) => {
      const problem = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
      const weights = detectorLosses.names.map((name) => `${name}LossWeight` as const);
      if (weights.every((weight) => config[weight] === 0)) {
        problem(weights[0] as string, `at least one of ${weights.join(", ")} must be > 0`);
      }
      if (config.setCostClass + config.setCostBbox + config.setCostGiou === 0) {
        problem("setCostClass", "at least one of setCostClass, setCostBbox, setCostGiou must be > 0");
      }
      const oneRate = config.backboneLrRatio === 1;
      if (config.stage1Type === "head_only") {
        if (config.freezeBackbone)
          problem("freezeBackbone", 'has no effect with stage1Type "head_only", where no backbone trains');
        if (!oneRate) problem("backboneLrRatio", 'has no effect with stage1Type "head_only", where no backbone trains');
      } else if (config.freezeBackbone && !oneRate) {
        problem("backboneLrRatio", "has no effect with freezeBackbone: true, where no backbone trains");
      }
      const backboneTrains = config.stage1Type !== "head_only" && !config.freezeBackbone;
      const toTrain = 'set freezeBackbone: false and a stage1Type other than "head_only"';
      for (const [key, message] of loraProblems(config, backboneTrains, toTrain)) problem(key, message);
      const oneBackbone = config.stage1Type === "cellfinder" || config.stage1Type === "image_encoder";
      if (config.transferWeights && (!oneBackbone || config.freezeBackbone)) {
        problem(
          "transferWeights",
          'needs stage1Type "cellfinder" or "image_encoder" with freezeBackbone false, where one backbone trains',
        );
      }
    }),
);

export type Stage1Config = z.output<ReturnType<typeof stage1Schema>>;
/** The settings of stage 1, the training of the detector, checked, with their defaults. @throws CellsamError ERR_CONFIG */
export const Stage1Config = configClass("Stage1Config", stage1Schema, {
  /** The weight of each part of the loss. */
  getWeightDict() {
    const weights = detectorLosses.names.map((name) => [`loss_${name}`, this[`${name}LossWeight`]]);
    return Object.fromEntries(weights) as Record<`loss_${DetectorLossName}`, number>;
  },
  /** The learning rate and weight decay of each group of parameters that the engine makes. */
  getOptimizerParamGroups() {
    const { learningRate, weightDecay, backboneLrRatio } = this;
    const head = { name: "head", learningRate, weightDecay };
    if (this.stage1Type === "head_only" || this.freezeBackbone) return [head];
    return [head, { name: "backbone", learningRate: learningRate * backboneLrRatio, weightDecay }];
  },
  /** Whether these settings ask for pictures of `epoch`, counted from 1. */
  shouldVisualize(epoch: number) {
    return asksForPictures(this, epoch);
  },
});
/** The settings of stage 1 as a caller gives them: each may be absent. */
export type Stage1Input = z.input<ReturnType<typeof stage1Schema>>;
