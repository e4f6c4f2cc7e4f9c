/** Scores of whole images after an epoch, for a curve: nothing is chosen by them, and the training is not changed. */
import { performance } from "node:perf_hooks";
import type { StageNumber } from "../config/stageOptions.js";
import { evaluateModel } from "../evaluation/model.js";
import { toSnake } from "../spelling.js";
import { type Numbers, numbersOf } from "../stats/folds.js";
import type { FoldContext } from "./context.js";

export interface EpochScores {
  /** By snake_case name, as in the event of a fold that ends. */
  scores: Numbers;
  /** How long it took. */
  seconds: number;
}

/**
 * Measures the weights of the epoch, whether they are the best or not, on the images that the fold is evaluated on. null where
 * `evaluateEvery` does not choose the epoch, and in a stage 1 whose head trains on SAM's backbone: predictions show it
 * CellFinder's.
 *
 * @throws the signal's reason when it fires; scores that cannot be measured, because memory is short, are only a warning
 */
export async function scoreEpoch(context: FoldContext, stage: StageNumber, epoch: number): Promise<EpochScores | null> {
  const { config, images, signal, warn } = context;
  const { evaluateEvery, stage1Config } = config;
  if (evaluateEvery === 0 || epoch % evaluateEvery !== 0) return null;
  if (stage === 1 && stage1Config.stage1Type === "image_encoder") return null;
  const begun = performance.now();
  try {
    const { summary } = await evaluateModel(context, images);
    return { scores: toSnake(numbersOf(summary)) as Numbers, seconds: (performance.now() - begun) / 1000 };
  } catch (error) {
    signal?.throwIfAborted();
    warn(`stage ${stage}, epoch ${epoch} was not evaluated: ${(error as Error).message}`);
    return null;
  }
}
