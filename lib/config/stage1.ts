/** Settings of stage 1, the training of the detector (CellFinder). */

import type { z } from "zod";
import { once } from "../lazily.js";
import { configClass } from "./configClass.js";
import { choice, flag, fraction, nonNegative, ratio, zod } from "./fields.js";
import { trainingFields } from "./training.js";
import { asksForPictures, drawingFields, drawingFlag } from "./visual.js";

export const stage1Types = ["cellfinder", "image_encoder", "all_backbones", "head_only"] as const;

export const stage1Schema = once(() =>
  zod()
    .strictObject({
      stage1Type: choice(stage1Types)
        .default("cellfinder")
        .describe("What trains: the head with the ViT of CellFinder, of SAM, of both, or of none."),
      headScope: choice(["full", "prediction"])
        .default("full")
        .describe(
          '"full": the whole detector head; "prediction": only its output layers and query positions, as the Python module did.',
        ),
      ...trainingFields({ scheduler: "step" }),
      ceLossWeight: nonNegative().default(1).describe("Weight of the class loss."),
      bboxLossWeight: nonNegative().default(5).describe("Weight of the L1 loss of boxes."),
      giouLossWeight: nonNegative().default(2).describe("Weight of the GIoU loss of boxes."),
      focalAlpha: ratio().default(0.25).describe("Weight of positives in the focal loss, 1 - alpha of the others."),
      auxLoss: flag().default(true).describe("Adds the losses of the decoder's earlier layers."),
      setCostClass: nonNegative().default(1).describe("Weight of the class in the matching of boxes to cells."),
      setCostBbox: nonNegative().default(1).describe("Weight of the L1 distance in the matching."),
      setCostGiou: nonNegative().default(1).describe("Weight of the GIoU in the matching."),
      backboneLrRatio: fraction().default(1).describe("Learning rate of the trunk as a share of the head's."),
      freezeBackbone: flag().default(false).describe("Trains the head alone."),
      transferWeights: flag()
        .default(false)
        .describe(
          "After the stage, gives the trunk that trained to the other network too: the detector's to SAM, or with \"image_encoder\" SAM's to the detector.",
        ),
      visualizePredictions: drawingFlag("true and predicted boxes"),
      ...drawingFields(1),
    })
    .superRefine((config, context) => {
      const problem = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
      if (config.ceLossWeight + config.bboxLossWeight + config.giouLossWeight === 0) {
        problem("ceLossWeight", "at least one of ceLossWeight, bboxLossWeight, giouLossWeight must be > 0");
      }
      if (config.setCostClass + config.setCostBbox + config.setCostGiou === 0) {
        problem("setCostClass", "at least one of setCostClass, setCostBbox, setCostGiou must be > 0");
      }
      const oneRate = config.backboneLrRatio === 1;
      if (config.stage1Type === "head_only") {
        if (config.freezeBackbone)
          problem("freezeBackbone", 'has no effect with stage1Type "head_only", which trains no trunk');
        if (!oneRate) problem("backboneLrRatio", 'has no effect with stage1Type "head_only", which trains no trunk');
      } else if (config.freezeBackbone && !oneRate) {
        problem("backboneLrRatio", "has no effect with freezeBackbone: true, where no trunk trains");
      }
      const oneTrunk = config.stage1Type === "cellfinder" || config.stage1Type === "image_encoder";
      if (config.transferWeights && (!oneTrunk || config.freezeBackbone)) {
        problem(
          "transferWeights",
          'needs stage1Type "cellfinder" or "image_encoder" with freezeBackbone false, where one trunk trains',
        );
      }
    }),
);

export type Stage1Config = z.output<ReturnType<typeof stage1Schema>>;
/** The settings of stage 1, the training of the detector, checked, with their defaults. @throws CellsamError ERR_CONFIG */
export const Stage1Config = configClass("Stage1Config", stage1Schema, {
  /** What each part of the loss counts. */
  getWeightDict() {
    return { loss_ce: this.ceLossWeight, loss_bbox: this.bboxLossWeight, loss_giou: this.giouLossWeight };
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
