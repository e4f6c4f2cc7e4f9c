/** Makes an ordinary experiment of corrected images: a folder of images and masks, their splits, and a configuration. */
import { existsSync } from "node:fs";
import { mkdir, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import type { PredictInput } from "../config/inference.js";
import { mergeConfig, type RawConfig } from "../config/load.js";
import { type Preset, presets } from "../config/presets.js";
import { shippedSettings } from "../config/shippedWeights.js";
import { configTemplate } from "../config/template.js";
import { CellsamError } from "../errors.js";
import { writeJson } from "../files/json.js";
import { linkOrCopy } from "../files/linkOrCopy.js";
import { writeAtomic } from "../files/writeAtomic.js";
import { fromSnake, toSnake } from "../spelling.js";
import type { State, TrainBody } from "./api.js";
import type { StudioFolder } from "./folder.js";
import type { StudioImage } from "./imageList.js";

/** Presets that train once: folds need more images than a person corrects, and the held-out images are chosen here. */
const studioPresets: readonly Preset[] = (Object.keys(presets) as Preset[]).filter((name) => name !== "k_fold");

/** Points of the curve of F1 of a stage: each costs a prediction of every held-out image. */
const mostScores = 10;

/** The presets, and how many epochs each trains its stages. */
export function presetEpochs(): State["presets"] {
  // Paths are not looked at.
  const paths = { imgPath: "images", maskPath: "masks", outputName: "run" };
  return studioPresets.map((name) => ({
    name,
    epochs: epochsOf({ ...(fromSnake(presets[name]) as RawConfig), ...paths } as ExperimentInput),
  }));
}

/** By stage. */
function epochsOf(config: ExperimentInput): number[] {
  const { stages, stage1Config, stage2Config } = new ExperimentConfig(config);
  const epochs = { 1: stage1Config.totalEpochs, 2: stage2Config.totalEpochs };
  return stages.map((stage) => epochs[stage]);
}

export interface Planned {
  name: string;
  /** The file for `cellsam train --config`. */
  config: string;
  /** Epochs of all stages. */
  epochs: number;
}

export interface TrainingParts {
  folder: StudioFolder;
  images: readonly StudioImage[];
  /** The model that the training starts from. */
  settings: PredictInput;
  threads: number;
}

/**
 * Writes everything that the run needs. Later corrections do not change it, so that the run can be resumed.
 * @throws CellsamError ERR_SPLIT for fewer than two images, ERR_OUTPUT_EXISTS for a name that is taken, ERR_CONFIG
 */
export async function planTraining(parts: TrainingParts, body: TrainBody): Promise<Planned> {
  const { folder, images } = parts;
  const side = (wanted: string) => images.filter((image) => folder.side(image.name) === wanted).map(({ name }) => name);
  const splits = { seed: 0, train: side("training"), val: side("validation"), note: "cellsam studio" };
  if (splits.train.length === 0 || splits.val.length === 0) {
    const message = `a training needs two images that are marked as done, one to train on and one to measure on; there are ${images.length}`;
    throw new CellsamError("ERR_SPLIT", message);
  }
  const name = body.name ?? freeName(folder);
  if (isTaken(folder, name))
    throw new CellsamError("ERR_OUTPUT_EXISTS", `there is a run of the name ${name} already; choose another name`);
  const data = folder.trainingData(name);
  const config = trainingConfig(parts, body, name);
  await copyData(folder, images, data);
  await writeJson(join(data, "splits.json"), splits);
  const path = join(data, "cellsam.yaml");
  await writeAtomic(path, configTemplate(toSnake(config) as RawConfig, ["Made by cellsam studio."], { short: true }));
  return { name, config: path, epochs: epochsOf(config).reduce((sum, epochs) => sum + epochs, 0) };
}

function isTaken(folder: StudioFolder, name: string): boolean {
  return name === "default" || existsSync(folder.run(name)) || existsSync(folder.trainingData(name));
}

function freeName(folder: StudioFolder): string {
  let number = 1;
  while (isTaken(folder, `run-${number}`)) number++;
  return `run-${number}`;
}

/** How stage 1 learns. The preset `tiny` learns a few images by heart, so that others become worse (docs/studio.md). */
const gently: RawConfig = { optimizer: "adamw", learningRate: 1e-4, denseLossWeight: 0 };

/**
 * With fewer images to validate on their loss is too noisy to choose an epoch by: of two images it was lowest after the first
 * epoch, which had taught nothing. Then the last epoch is the model, and a stage ends early only after 30 epochs without a lower
 * loss: all of the preset `tiny`.
 */
const enoughToChooseBy = 10;
const lastEpoch = { modelEpoch: "last", patience: 30 };

/**
 * What stage 2 trains of the mask model. The preset `tiny` opens all of it, for which the few images of studio are not enough:
 * outlines of other images became worse (docs/studio.md).
 */
const neckOnly: RawConfig = {
  ...{ trainNeckOnly: true, freezeImageEncoder: true, freezePromptEncoder: true, freezeMaskDecoder: true },
  iouLossWeight: 0,
};

/**
 * The settings of the preset, below those of the model that the training starts from: how pixels are read, and its size, belong
 * to the weights. @throws CellsamError ERR_CONFIG
 */
function trainingConfig({ folder, images, settings, threads }: TrainingParts, body: TrainBody, name: string): ExperimentInput {
  const { preset = "tiny", epochs, stages = "both" } = body;
  if (!studioPresets.includes(preset as Preset))
    throw new CellsamError("ERR_CONFIG", `preset: ${preset} is none of ${studioPresets.join(", ")}`);
  const { weights, ...recipe } = fromSnake(presets[preset as Preset]) as RawConfig;
  for (const key of Object.keys(shippedSettings(weights))) delete recipe[key];
  const { inference, ...model } = settings;
  const data = folder.trainingData(name);
  const few = images.filter(({ name }) => folder.side(name) === "validation").length < enoughToChooseBy;
  const each = {
    ...(epochs !== undefined && { totalEpochs: epochs }),
    ...(few && lastEpoch),
  };
  const own: RawConfig = {
    ...model,
    ...(inference && { inference }),
    ...(inference?.tileSize && { tileSize: inference.tileSize }),
    imgPath: join(data, "images"),
    maskPath: join(data, "masks"),
    outputName: name,
    outputDir: folder.runs,
    strategy: "train_val_split",
    splits: join(data, "splits.json"),
    stages: stages === "both" ? [1, 2] : [stages],
    stage1Config: { ...gently, ...each },
    stage2Config: { ...neckOnly, ...each },
    preeval: true,
    threads,
  };
  const config = mergeConfig(recipe, own) as ExperimentInput;
  return { ...config, evaluateEvery: Math.ceil(Math.max(...epochsOf(config)) / mostScores) };
}

/** The images are links, or copies where links are not possible; the masks are those of this moment. */
async function copyData(folder: StudioFolder, images: readonly StudioImage[], data: string): Promise<void> {
  for (const part of ["images", "masks"]) await mkdir(join(data, part), { recursive: true });
  for (const { file, name, path } of images) {
    const copy = join(data, "images", file);
    if ((await stat(path)).isDirectory()) await symlink(path, copy, "junction");
    else await linkOrCopy(path, copy);
    await linkOrCopy(folder.labels(name).correction, join(data, "masks", `${name}.tif`));
  }
}
