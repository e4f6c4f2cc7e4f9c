/** The settings of a training loop that both stages share: how long, how fast, when to stop. */

import { training } from "../settings/groups.js";
import type { ChoiceSetting } from "../settings/kinds.js";
import { integer, nonNegative, setting } from "./fields.js";

/** `scheduler` is the stage's own, since the stages differ in its default. Defaults are those of the Python module. */
export const trainingFields = <const S extends ChoiceSetting>(scheduler: S) => ({
  totalEpochs: integer(1).default(500).describe("Most epochs of the stage."),
  learningRate: setting(training.learningRate).describe("Learning rate at its highest."),
  patience: integer(0).default(15).describe("Epochs without improvement before the stage ends; 0 stops at the first one."),
  minDelta: nonNegative()
    .default(1e-6)
    .describe("How much lower a validation loss must be to count as an improvement for early stopping."),
  optimizer: setting(training.optimizer).describe("Rule by which weights are changed."),
  weightDecay: setting(training.weightDecay).describe("Weight decay."),
  scheduler: setting(scheduler).describe(
    "How the learning rate changes: step lowers it to 0.9 of itself after 70 % of the epochs, plateau halves it when the validation loss stays.",
  ),
  warmupFraction: setting(training.warmupFraction).describe("Share of all steps over which the learning rate rises from 0."),
  gradClip: setting(training.gradClip).describe("Largest global gradient norm; 0 leaves gradients alone."),
  accumulate: setting(training.accumulate).describe("Batches whose gradients are summed into one optimiser step."),
  activationCheckpointing: setting(training.activationCheckpointing).describe(
    "Where a ViT trains: keeps only the input of each block and computes the rest again in backward, for less memory.",
  ),
});
