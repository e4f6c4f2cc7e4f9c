/** The Python module's one-call entry, with its own keywords. */
import { type FinetuneOptions, finetuneConfig } from "../config/finetuneKeywords.js";
import { ExperimentRunner, type RunnerOptions } from "./experiment.js";
import type { FoldResult } from "./results.js";

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
