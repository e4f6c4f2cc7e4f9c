/** Settings of stage 2, the training of SAM's image-encoder neck (or more) through the mask decoder. */
import { z } from "zod";
import { atLeastOne, flag, fraction, integer, nonNegative, positive, ratio, ratioBelow } from "./fields.js";
import { configClass } from "./parse.js";
import { trainingFields } from "./training.js";

/** Settings of online hard example mining, which mean nothing while it is off. */
const miningDefaults = { ohemFraction: 0.1, ohemHardWeight: 2, ohemHardWeightMin: 1.2, ohemHardWeightMax: 2.5 };

export const stage2Schema = z
  .strictObject({
    ...trainingFields({ scheduler: "none" }),
    focalLossWeight: nonNegative().default(1),
    focalGamma: nonNegative().default(2),
    focalAlpha: ratio().default(0.25),
    diceLossWeight: nonNegative().default(1),
    diceSmooth: positive().default(1),
    boundaryLossWeight: nonNegative().default(1),
    /** Unset: on when boundaryLossWeight > 0. */
    useBoundaryLoss: flag().optional(),
    onlineHardNegativeMining: flag().default(false),
    onlineHardNegativeMiningWeighted: flag().default(false),
    ohemFraction: fraction().default(miningDefaults.ohemFraction),
    ohemHardWeight: atLeastOne().default(miningDefaults.ohemHardWeight),
    ohemHardWeightMin: atLeastOne().default(miningDefaults.ohemHardWeightMin),
    ohemHardWeightMax: atLeastOne().default(miningDefaults.ohemHardWeightMax),
    trainNeckOnly: flag().default(true),
    freezeImageEncoder: flag().default(true),
    freezePromptEncoder: flag().default(true),
    freezeMaskDecoder: flag().default(true),
    /** Weight of the regression of the predicted IoU; 0 leaves that head untrained. */
    iouLossWeight: nonNegative().default(0),
    /** Most cells of an image that become prompts in one step, drawn anew each epoch; null: all. */
    maxPrompts: integer(1).nullable().default(null),
    /** Random shift of each prompt box corner, as a share of the box's size. */
    boxJitter: ratioBelow(0.5).default(0),
    /** An image without cells gives one prompt, the whole image with an empty target. */
    backgroundPrompt: flag().default(false),
    /** Prompts that go through the mask decoder at once: memory against speed, the result is the same. */
    promptChunk: integer(1).default(32),
    /** Learning rate of the trunk, when it trains, as a share of the others'. */
    backboneLrRatio: fraction().default(1),
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
      problem("backboneLrRatio", "has no effect while the trunk is frozen; set trainNeckOnly and freezeImageEncoder to false");
    }
    const freezes = ["freezeImageEncoder", "freezePromptEncoder", "freezeMaskDecoder"] as const;
    for (const key of freezes) {
      if (config.trainNeckOnly && !config[key])
        problem(key, "is false although trainNeckOnly is true; set trainNeckOnly: false");
    }
    if (!config.trainNeckOnly && freezes.every((key) => config[key])) {
      problem("trainNeckOnly", `is false but nothing is left to train; set one of ${freezes.join(", ")} to false`);
    }
  });

export type Stage2Config = z.output<typeof stage2Schema>;
/** @throws CellsamError ERR_CONFIG */
export const Stage2Config = configClass("Stage2Config", stage2Schema);
export type Stage2Input = z.input<typeof stage2Schema>;
