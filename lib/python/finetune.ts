/** The Python module's one-call entry, with its own keywords. */

import { ExperimentRunner } from "../train/experiment.js";
import type { RunnerOptions } from "../train/options.js";
import type { FoldResult } from "../train/results.js";
import { type FinetuneOptions, finetuneConfig } from "./finetuneKeywords.js";

/** Trains with the Python module's keywords; answers one result per split. */
export async function finetune(
  imgPath: string,
  maskPath: string,
  outputName: string,
  options: FinetuneOptions = {},
  runnerOptions: RunnerOptions = {},
): Promise<FoldResult[]> {
  return new ExperimentRunner(finetuneConfig(imgPath, maskPath, outputName, options), runnerOptions).run();
}
