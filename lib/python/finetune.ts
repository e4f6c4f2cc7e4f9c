/** The Python module's `finetune`, with its keywords. */

import { ExperimentRunner } from "../train/experiment.js";
import type { RunnerOptions } from "../train/options.js";
import type { FoldResult } from "../train/results.js";
import { type FinetuneOptions, finetuneConfig } from "./finetuneKeywords.js";

/**
 * Trains an experiment as the Python module's `finetune` does and returns one result per split.
 * @throws CellsamError ERR_CONFIG, and what ExperimentRunner.run rejects with
 */
export async function finetune(
  imgPath: string,
  maskPath: string,
  outputName: string,
  options: FinetuneOptions = {},
  runnerOptions: RunnerOptions = {},
): Promise<FoldResult[]> {
  return new ExperimentRunner(finetuneConfig(imgPath, maskPath, outputName, options), runnerOptions).run();
}
