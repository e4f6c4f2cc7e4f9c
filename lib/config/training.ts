/** The settings of a training loop that both stages share: how long, how fast, when to stop. */
import { choice, integer, nonNegative, positive, ratio, ratioBelow } from "./fields.js";

export const schedulers = ["none", "step", "plateau", "cosine"] as const;
export const optimizers = ["adamw", "adam", "sgd"] as const;

/** Defaults are those of the Python module, which knows most of these by the same names. */
export const trainingFields = (defaults: { scheduler: (typeof schedulers)[number] }) => ({
  totalEpochs: integer(1).default(500),
  learningRate: positive().default(1e-4),
  /** Epochs without improvement before the stage ends; 0 stops at the first one. */
  patience: integer(0).default(15),
  /** How much lower a validation loss must be to count as an improvement for early stopping. */
  minDelta: nonNegative().default(1e-6),
  optimizer: choice(optimizers).default("adamw"),
  weightDecay: ratio().default(1e-4),
  scheduler: choice(schedulers).default(defaults.scheduler),
  /** Share of all steps over which the learning rate rises from 0. */
  warmupFraction: ratioBelow(1).default(0),
  /** Largest global gradient norm; 0 leaves gradients alone. */
  gradClip: nonNegative().default(1),
  /** Batches whose gradients are summed into one optimiser step. */
  accumulate: integer(1).default(1),
});
