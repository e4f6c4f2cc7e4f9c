/** The detection threshold that a fold tunes on its validation images, for its model to be measured and used with. */
import type { ExperimentConfig } from "../config/experiment.js";
import type { Evaluation } from "../evaluation/model.js";
import { inference } from "../settings/groups.js";

/** A smaller gain of F1 is within what chance does to so few images, and not worth leaving CellSAM's rule. */
const leastGain = 0.02;
/** True cells; fewer tell too little about a threshold. */
const leastCells = 50;

/**
 * The threshold with the highest F1 on the images of `evaluation`, for a model that scores its cells lower or higher than the
 * configured threshold expects, as after a short training on a new kind of cell. null where the configured one stays: where it is
 * as good within 0.02 of F1, with fewer than 50 cells, and where the user has chosen a threshold.
 */
export function tunedThreshold(config: ExperimentConfig, { summary, best }: Evaluation): number | null {
  const { bboxThreshold, adaptiveThreshold } = config.inference;
  const chosen = bboxThreshold !== inference.bboxThreshold.default || adaptiveThreshold !== inference.adaptiveThreshold.default;
  if (!config.tuneThreshold || chosen || !best || summary.counts.truth < leastCells) return null;
  return best.f1.f1 - summary.f1 < leastGain ? null : best.f1.threshold;
}
