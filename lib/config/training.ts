/** The settings of a training loop that both stages share: how long, how fast, when to stop. */

import { training } from "../settings/groups.js";
import type { ChoiceSetting } from "../settings/kinds.js";
import { choice, integer, nonNegative, setting } from "./fields.js";

/** `scheduler` is a parameter, since the stages differ in its default. Defaults are those of the Python module. */
export const trainingFields = <const S extends ChoiceSetting>(scheduler: S) => ({
  totalEpochs: integer(1).default(500).describe("Largest number of epochs of the stage."),
  learningRate: setting(training.learningRate).describe("Highest learning rate."),
  patience: integer(0)
    .default(15)
    .describe("Number of epochs without improvement after which the stage ends early; with 0 it ends after the first one."),
  minDelta: nonNegative()
    .default(1e-6)
    .describe("Smallest decrease of the validation loss that counts as an improvement for early stopping."),
  modelEpoch: choice(["best", "last"])
    .default("best")
    .describe(
      "Epoch whose weights are the stage's model: best, that with the lowest validation loss, or last, that which ended last with " +
        "a finite loss. The loss of a few images is too noisy to choose by.",
    ),
  optimizer: setting(training.optimizer).describe(
    "Optimiser of the weights. muon (Jordan et al., 2024) gives the changes of weight matrices equal singular values, and leaves " +
      "biases, norms, embeddings, first and last layers to adamw. It learns faster from random weights (docs/learning.md).",
  ),
  weightDecay: setting(training.weightDecay).describe("Weight decay."),
  scheduler: setting(scheduler).describe(
    "How the learning rate changes: step multiplies it by 0.9 after 70 % of the epochs, plateau halves it when the " +
      "validation loss does not fall.",
  ),
  warmupFraction: setting(training.warmupFraction).describe("Share of all steps over which the learning rate rises from 0."),
  gradClip: setting(training.gradClip).describe(
    "Largest global norm of the gradients; larger ones are scaled down to it. 0: no clipping.",
  ),
  accumulate: setting(training.accumulate).describe("Number of batches whose gradients are accumulated in one optimiser step."),
  loraRank: setting(training.loraRank).describe(
    "Rank of the changes of a backbone's weight matrices (LoRA, Hu et al., 2022), of which only two narrow factors learn; the " +
      "backbone's other weights stay. Checkpoints hold ordinary weights with the changes in them. 0: the whole backbone learns. " +
      "When to use which: docs/concepts.md.",
  ),
  loraAlpha: setting(training.loraAlpha).describe(
    "The changes are multiplied by loraAlpha / loraRank; null: the rank, so by 1.",
  ),
  loraLayers: setting(training.loraLayers).describe(
    "Which matrices of each ViT block learn with loraRank: attention, its qkv and proj; mlp, its lin1 and lin2; or all.",
  ),
  activationCheckpointing: setting(training.activationCheckpointing).describe(
    "When a ViT trains: keeps only the input of each block and computes the rest again in the backward pass, for less memory.",
  ),
});

/**
 * What contradicts itself in the settings of LoRA: key and message. `backboneTrains`: whether a backbone trains by the other
 * settings, and `toTrain`: how one would.
 */
export function loraProblems(
  config: { loraRank: number; loraAlpha: number | null; loraLayers: string },
  backboneTrains: boolean,
  toTrain: string,
): [key: string, message: string][] {
  if (config.loraRank > 0)
    return backboneTrains ? [] : [["loraRank", `has no effect while the backbone is frozen; ${toTrain}`]];
  const unread: [string, boolean][] = [
    ["loraAlpha", config.loraAlpha !== training.loraAlpha.default],
    ["loraLayers", config.loraLayers !== training.loraLayers.default],
  ];
  return unread.filter(([, given]) => given).map(([key]) => [key, "has no effect without loraRank > 0"]);
}
