/** The settings of a training loop that both stages share: how long, how fast, when to stop. */
import { choice, flag, integer, nonNegative, positive, ratio, ratioBelow } from "./fields.js";

export const schedulers = ["none", "step", "plateau", "cosine"] as const;
export const optimizers = ["adamw", "adam", "sgd"] as const;

/** Defaults are those of the Python module, which knows most of these by the same names. */
export const trainingFields = (defaults: { scheduler: (typeof schedulers)[number] }) => ({
  totalEpochs: integer(1).default(500).describe("Most epochs of the stage."),
  learningRate: positive().default(1e-4).describe("Learning rate at its highest."),
  patience: integer(0).default(15).describe("Epochs without improvement before the stage ends; 0 stops at the first one."),
  minDelta: nonNegative()
    .default(1e-6)
    .describe("How much lower a validation loss must be to count as an improvement for early stopping."),
  optimizer: choice(optimizers).default("adamw").describe("Rule by which weights are changed."),
  weightDecay: ratio().default(1e-4).describe("Weight decay."),
  scheduler: choice(schedulers)
    .default(defaults.scheduler)
    .describe(
      "How the learning rate changes: step lowers it to 0.9 of itself after 70 % of the epochs, plateau halves it when the validation loss stays.",
    ),
  warmupFraction: ratioBelow(1).default(0).describe("Share of all steps over which the learning rate rises from 0."),
  gradClip: nonNegative().default(1).describe("Largest global gradient norm; 0 leaves gradients alone."),
  accumulate: integer(1).default(1).describe("Batches whose gradients are summed into one optimiser step."),
  activationCheckpointing: flag()
    .default(false)
    .describe(
      "Where a ViT trains: keeps only the input of each block and computes the rest again in backward, for less memory.",
    ),
});
