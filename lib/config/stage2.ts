/** Settings of stage 2, the training of SAM's image-encoder neck (or more) through the mask decoder. */

import type { z } from "zod";
import { once } from "../lazily.js";
import { stage2, training } from "../settings/groups.js";
import { type MaskLossName, type MaskLossSettings, maskLosses, maskLossSettings } from "../settings/losses/table.js";
import { configClass } from "./configClass.js";
import { described, setting, zod } from "./fields.js";
import { loraProblems, trainingFields } from "./training.js";
import { asksForPictures, drawingFields, drawingFlag } from "./visual.js";

/** Settings of online hard example mining, which have no effect while it is off. */
const mining = ["ohemFraction", "ohemHardWeight", "ohemHardWeightMin", "ohemHardWeightMax"] as const;

export const stage2Schema = once(() =>
  zod()
    .strictObject({
      ...trainingFields(stage2.scheduler),
      ...described(maskLossSettings),
      useBoundaryLoss: setting(stage2.useBoundaryLoss).describe(
        "With false the boundary loss is left out, whatever its weight; null: its weight decides.",
      ),
      onlineHardNegativeMining: setting(stage2.onlineHardNegativeMining).describe(
        "Gives more weight to the cells of a batch with the highest loss (online hard example mining).",
      ),
      onlineHardNegativeMiningWeighted: setting(stage2.onlineHardNegativeMiningWeighted).describe(
        "Lets the weight of hard cells grow with their loss, from ohemHardWeightMin to ohemHardWeightMax.",
      ),
      ohemFraction: setting(stage2.ohemFraction).describe("Share of the cells that count as hard."),
      ohemHardWeight: setting(stage2.ohemHardWeight).describe("Weight of hard cells; that of the others is 1."),
      ohemHardWeightMin: setting(stage2.ohemHardWeightMin).describe(
        "Lowest weight of hard cells with onlineHardNegativeMiningWeighted.",
      ),
      ohemHardWeightMax: setting(stage2.ohemHardWeightMax).describe(
        "Highest weight of hard cells with onlineHardNegativeMiningWeighted.",
      ),
      trainNeckOnly: setting(stage2.trainNeckOnly).describe("Trains the neck of the image encoder and nothing else."),
      freezeImageEncoder: setting(stage2.freezeImageEncoder).describe("Does not train the ViT of the image encoder."),
      freezePromptEncoder: setting(stage2.freezePromptEncoder).describe("Does not train the prompt encoder."),
      freezeMaskDecoder: setting(stage2.freezeMaskDecoder).describe("Does not train the mask decoder."),
      iouLossWeight: setting(stage2.iouLossWeight).describe(
        "Weight of the loss of the predicted IoU (squared error); 0 does not train the head that predicts it.",
      ),
      maxPrompts: setting(stage2.maxPrompts).describe(
        "Largest number of cells of a tile that become prompts in one step, drawn again in each epoch; null: all.",
      ),
      boxJitter: setting(stage2.boxJitter).describe("Random shift of each prompt box corner, as a share of the box's size."),
      backgroundPrompt: setting(stage2.backgroundPrompt).describe(
        "Gives a tile without cells one prompt: the whole tile, with an empty target.",
      ),
      promptChunk: setting(stage2.promptChunk).describe(
        "Number of prompts that go through the mask decoder at once; more are faster and take more memory, with the same " +
          "result. 0: as many as a fixed share of the memory holds.",
      ),
      factoredDecoder: setting(stage2.factoredDecoder).describe(
        "Computes the mask decoder in a faster formulation of the same function where that is faster: on the CPU and in CUDA " +
          "graphs; with `false` always as in the paper.",
      ),
      fusedMaskLoss: setting(stage2.fusedMaskLoss).describe(
        "Computes the losses in one pass over the decoder's low-resolution masks, with the same result; with `false` on masks of " +
          "the tile's size. It is for the focal, dice and boundary loss: when another loss has a weight above 0, the setting " +
          "has no effect.",
      ),
      cudaGraphs: setting(stage2.cudaGraphs).describe(
        "On a GPU: records the work of a number of prompts as a CUDA graph and replays it with one call, with the same " +
          "result, which spares the GPU the wait for the CPU; takes additional memory. auto: where it works, which the first " +
          "graph has to show by giving the same numbers; true and false mean on and off.",
      ),
      backboneLrRatio: setting(training.backboneLrRatio).describe(
        "Learning rate of the backbone, when it trains, as a share of the learning rate of the rest.",
      ),
      visualizeMasks: drawingFlag("prompts, true cells and predicted cells"),
      ...drawingFields(2),
    })
    .superRefine((config, context) => {
      const problem = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
      const weights = lossWeights(config);
      if (Object.values(weights).every((weight) => weight === 0)) {
        const names = maskLosses.map(({ name }) => `${name}LossWeight`);
        problem(names[0] as string, `at least one of ${names.join(", ")} must be > 0`);
      }
      if (config.useBoundaryLoss && config.boundaryLossWeight === 0) {
        problem("useBoundaryLoss", "is true although boundaryLossWeight is 0");
      }
      if (config.onlineHardNegativeMiningWeighted && !config.onlineHardNegativeMining) {
        problem("onlineHardNegativeMiningWeighted", "needs onlineHardNegativeMining: true");
      }
      for (const key of mining) {
        if (!config.onlineHardNegativeMining && config[key] !== stage2[key].default) {
          problem(key, "has no effect without onlineHardNegativeMining: true");
        }
      }
      if (config.ohemHardWeightMax < config.ohemHardWeightMin) {
        problem("ohemHardWeightMax", `must be >= ohemHardWeightMin (${config.ohemHardWeightMin})`);
      }
      const backboneTrains = !config.trainNeckOnly && !config.freezeImageEncoder;
      const toTrain = "set trainNeckOnly and freezeImageEncoder to false";
      if (config.backboneLrRatio !== 1 && !backboneTrains) {
        problem("backboneLrRatio", `has no effect while the backbone is frozen; ${toTrain}`);
      }
      for (const [key, message] of loraProblems(config, backboneTrains, toTrain)) problem(key, message);
      const freezes = ["freezeImageEncoder", "freezePromptEncoder", "freezeMaskDecoder"] as const;
      for (const key of freezes) {
        if (config.trainNeckOnly && !config[key])
          problem(key, "is false although trainNeckOnly is true; set trainNeckOnly: false");
      }
      if (!config.trainNeckOnly && freezes.every((key) => config[key])) {
        problem("trainNeckOnly", `is false, but nothing is left to train; set one of ${freezes.join(", ")} to false`);
      }
    }),
);

/** The weight of each loss; 0 for a boundary loss that is switched off. */
function lossWeights(
  config: { useBoundaryLoss: boolean | null } & { [Weight in keyof MaskLossSettings]: number },
): Record<MaskLossName, number> {
  const weights = maskLosses.map(({ name }) => {
    const off = name === "boundary" && config.useBoundaryLoss === false;
    return [name, off ? 0 : config[`${name}LossWeight`]];
  });
  return Object.fromEntries(weights) as Record<MaskLossName, number>;
}

export type Stage2Config = z.output<ReturnType<typeof stage2Schema>>;
/** The settings of stage 2, the training of the masks, checked, with their defaults. @throws CellsamError ERR_CONFIG */
export const Stage2Config = configClass("Stage2Config", stage2Schema, {
  /** The weight of each part of the loss; 0 for a boundary loss that is switched off. */
  getLossWeights() {
    return lossWeights(this);
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
