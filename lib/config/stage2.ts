/** Settings of stage 2, the training of SAM's image-encoder neck (or more) through the mask decoder. */

import type { z } from "zod";
import { once } from "../lazily.js";
import { configClass } from "./configClass.js";
import { atLeastOne, flag, fraction, integer, nonNegative, positive, ratio, ratioBelow, zod } from "./fields.js";
import { trainingFields } from "./training.js";
import { asksForPictures, drawingFields, drawingFlag } from "./visual.js";

/** Settings of online hard example mining, which mean nothing while it is off. */
const miningDefaults = { ohemFraction: 0.1, ohemHardWeight: 2, ohemHardWeightMin: 1.2, ohemHardWeightMax: 2.5 };

export const stage2Schema = once(() =>
  zod()
    .strictObject({
      ...trainingFields({ scheduler: "none" }),
      focalLossWeight: nonNegative().default(1).describe("Weight of the focal loss."),
      focalGamma: nonNegative()
        .default(2)
        .describe("Focusing exponent of the focal loss; higher means harder pixels count more."),
      focalAlpha: ratio().default(0.25).describe("Weight of positives in the focal loss, 1 - alpha of the others."),
      diceLossWeight: nonNegative().default(1).describe("Weight of the dice loss."),
      diceSmooth: positive().default(1).describe("Smoothing term of the dice loss."),
      boundaryLossWeight: nonNegative().default(1).describe("Weight of the boundary loss."),
      useBoundaryLoss: flag().optional().describe("Unset: on when boundaryLossWeight > 0."),
      onlineHardNegativeMining: flag().default(false).describe("Gives the hardest cells of a batch more weight."),
      onlineHardNegativeMiningWeighted: flag().default(false).describe("The weight of hard cells grows with their loss."),
      ohemFraction: fraction().default(miningDefaults.ohemFraction).describe("Share of the cells that count as hard."),
      ohemHardWeight: atLeastOne().default(miningDefaults.ohemHardWeight).describe("Weight of hard cells."),
      ohemHardWeightMin: atLeastOne()
        .default(miningDefaults.ohemHardWeightMin)
        .describe("Lowest weight of hard cells, with the weighted form."),
      ohemHardWeightMax: atLeastOne()
        .default(miningDefaults.ohemHardWeightMax)
        .describe("Highest weight of hard cells, with the weighted form."),
      trainNeckOnly: flag().default(true).describe("Trains the neck of the image encoder and nothing else."),
      freezeImageEncoder: flag().default(true).describe("Leaves the ViT of the image encoder as it is."),
      freezePromptEncoder: flag().default(true).describe("Leaves the prompt encoder as it is."),
      freezeMaskDecoder: flag().default(true).describe("Leaves the mask decoder as it is."),
      iouLossWeight: nonNegative()
        .default(0)
        .describe("Weight of the regression of the predicted IoU; 0 leaves that head untrained."),
      maxPrompts: integer(1)
        .nullable()
        .default(null)
        .describe("Most cells of an image that become prompts in one step, drawn anew each epoch; null: all."),
      boxJitter: ratioBelow(0.5).default(0).describe("Random shift of each prompt box corner, as a share of the box's size."),
      backgroundPrompt: flag()
        .default(false)
        .describe("An image without cells gives one prompt, the whole image with an empty target."),
      promptChunk: integer(0)
        .default(0)
        .describe(
          "Prompts that go through the mask decoder at once: memory against speed, the result is the same; 0: as many as a fixed " +
            "share of memory holds.",
        ),
      factoredDecoder: flag()
        .default(true)
        .describe("The mask decoder in its faster formulation, the same function; false: as in the paper."),
      cudaGraphs: flag()
        .default(false)
        .describe(
          "On a GPU: records the work for a number of prompts as a CUDA graph and repeats it with one call, the same result. " +
            "Worth trying where the GPU waits for the CPU; takes memory of its own.",
        ),
      backboneLrRatio: fraction().default(1).describe("Learning rate of the trunk, when it trains, as a share of the others'."),
      visualizeMasks: drawingFlag("prompts, true cells and predicted cells"),
      ...drawingFields(2),
    })
    .superRefine((config, context) => {
      const problem = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
      const boundary = config.useBoundaryLoss === false ? 0 : config.boundaryLossWeight;
      if (config.focalLossWeight + config.diceLossWeight + boundary === 0) {
        problem("focalLossWeight", "at least one of focalLossWeight, diceLossWeight, boundaryLossWeight must be > 0");
      }
      if (config.useBoundaryLoss && config.boundaryLossWeight === 0) {
        problem("useBoundaryLoss", "is true although boundaryLossWeight is 0");
      }
      if (config.onlineHardNegativeMiningWeighted && !config.onlineHardNegativeMining) {
        problem("onlineHardNegativeMiningWeighted", "needs onlineHardNegativeMining: true");
      }
      for (const [key, value] of Object.entries(miningDefaults)) {
        if (!config.onlineHardNegativeMining && config[key as keyof typeof miningDefaults] !== value) {
          problem(key, "has no effect without onlineHardNegativeMining: true");
        }
      }
      if (config.ohemHardWeightMax < config.ohemHardWeightMin) {
        problem("ohemHardWeightMax", `must be >= ohemHardWeightMin (${config.ohemHardWeightMin})`);
      }
      if (config.backboneLrRatio !== 1 && (config.trainNeckOnly || config.freezeImageEncoder)) {
        problem(
          "backboneLrRatio",
          "has no effect while the trunk is frozen; set trainNeckOnly and freezeImageEncoder to false",
        );
      }
      const freezes = ["freezeImageEncoder", "freezePromptEncoder", "freezeMaskDecoder"] as const;
      for (const key of freezes) {
        if (config.trainNeckOnly && !config[key])
          problem(key, "is false although trainNeckOnly is true; set trainNeckOnly: false");
      }
      if (!config.trainNeckOnly && freezes.every((key) => config[key])) {
        problem("trainNeckOnly", `is false but nothing is left to train; set one of ${freezes.join(", ")} to false`);
      }
    }),
);

export type Stage2Config = z.output<ReturnType<typeof stage2Schema>>;
/** The settings of stage 2, the training of the masks, checked, with their defaults. @throws CellsamError ERR_CONFIG */
export const Stage2Config = configClass("Stage2Config", stage2Schema, {
  /** What each part of the loss counts; 0 for a boundary loss that is switched off. */
  getLossWeights() {
    const boundary = this.useBoundaryLoss === false ? 0 : this.boundaryLossWeight;
    return { focal: this.focalLossWeight, dice: this.diceLossWeight, boundary };
  },
  /** More than 600 epochs, which the Python module calls deep. */
  isDeepModel() {
    return this.totalEpochs > 600;
  },
  /** Whether these settings ask for pictures of `epoch`, counted from 1. */
  shouldVisualize(epoch: number) {
    return asksForPictures(this, epoch);
  },
});
/** The settings of stage 2 as a caller gives them: each may be absent. */
export type Stage2Input = z.input<ReturnType<typeof stage2Schema>>;
