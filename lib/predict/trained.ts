/** The model of a finished experiment, with the settings that it was trained with. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ExperimentConfig } from "../config/experiment.js";
import { fixedThreshold, type PredictInput, predictSchema } from "../config/inference.js";
import { CellsamError } from "../errors.js";
import { readJson } from "../files/json.js";
import { fromSnake } from "../spelling.js";

type TrainedConfig = PredictInput & { weights: string; size: string };

/** The best weights of the last stage that has some; undefined before the first epoch has ended. `fold` counts from 1. */
function bestWeights(folder: string, fold: number): string | undefined {
  const models = join(folder, "models", `fold_${fold}`);
  return [2, 1].map((stage) => join(models, `best_model_s${stage}.pth`)).find((path) => existsSync(path));
}

/** Whether an experiment has a model to predict with, be it finished or not. `fold` counts from 1. */
export function hasTrainedWeights(folder: string, fold = 1): boolean {
  return bestWeights(folder, fold) !== undefined;
}

/** The detection threshold that the fold has tuned; null where it has not, or is not finished. */
export async function tunedThresholdOf(folder: string, fold = 1): Promise<number | null> {
  const file = join(folder, "results", "individual_results.json");
  if (!existsSync(file)) return null;
  const results = await readJson<{ fold: number; tuned_threshold?: number | null }[]>(file); // older versions tuned none
  return results.find((result) => result.fold === fold)?.tuned_threshold ?? null;
}

/**
 * The configuration to predict with, with the detection threshold that the fold has tuned. `fold` counts from 1.
 * @throws CellsamError ERR_CONFIG when the folder holds no experiment with a model
 */
export async function trainedConfig(folder: string, fold = 1): Promise<TrainedConfig> {
  const file = join(folder, "experiment_config.json");
  const weights = bestWeights(folder, fold);
  if (existsSync(file) && !weights && existsSync(join(folder, "resume", "run.json"))) {
    const message = `${folder} has no trained model of fold ${fold} yet: its first epoch is not finished. Wait for the training, or continue it with \`train --resume\``;
    throw new CellsamError("ERR_CONFIG", message, { detail: { folder, fold } });
  }
  if (!existsSync(file) || !weights) {
    // The folder of experiments is easily forgotten.
    const near = join("output", folder);
    const meant = existsSync(join(near, "experiment_config.json")) ? `; did you mean ${near}?` : "";
    const what = existsSync(folder) ? "is not an experiment with a trained model" : "does not exist";
    throw new CellsamError("ERR_CONFIG", `experiment: ${folder} ${what}${meant}`, { detail: { folder } });
  }
  const trained = fromSnake(await readJson(file)) as ExperimentConfig;
  const config = Object.fromEntries(
    Object.keys(predictSchema().shape).map((key) => [key, trained[key as keyof ExperimentConfig]]),
  ) as PredictInput & { size: string };
  const tileSize = trained.inference.tileSize ?? trained.tileSize;
  const tuned = fixedThreshold(await tunedThresholdOf(folder, fold));
  return { ...config, weights, inference: { ...trained.inference, tileSize, ...tuned } };
}
