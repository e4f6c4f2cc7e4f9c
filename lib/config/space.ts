/**
 * The space of a hyper-parameter search: which values each searched setting may take. It has the Python module's 18 lists
 * under their names; where a list is unset, the setting keeps the base configuration's value.
 */

import type { z } from "zod";
import { once } from "../lazily.js";
import { epoch, pixels, stage1, training } from "../settings/groups.js";
import type { DescribedNumber, NumberSetting, Setting } from "../settings/kinds.js";
import { type DetectorLossName, detectorLosses } from "../settings/losses/detector.js";
import { type MaskLossName, maskLosses, type SearchedLossSetting } from "../settings/losses/table.js";
import { fromSnake, snakeCase, toCamelName } from "../spelling.js";
import { configClass } from "./configClass.js";
import { flag, integer, nonNegative, type Plain, plain, zod } from "./fields.js";

/** A list of the space: the setting that it searches, where that is, and its short name in trial records. */
interface Searched<S extends Setting = Setting> {
  setting: S;
  record: string;
  path: string;
  about: string;
}

const list = <const S extends Setting>(setting: S, record: string, path: string, about: string): Searched<S> => ({
  ...{ setting, record, path, about },
});

type NumberLists<Names extends string> = Record<Names, Searched<NumberSetting>>;

/** The list of a loss's weight, with its name. */
function weightList(loss: string, stage: string, weight: DescribedNumber): [name: string, Searched<NumberSetting>] {
  const about = weight.description.replace("Weight", "Weights");
  return [`${loss}LossWeights`, list(weight, `${loss}_weight`, `${stage}.${loss}LossWeight`, about)];
}

function detectorLossLists() {
  const { names, settings } = detectorLosses;
  const lists = names.map((name) => weightList(name, "stage1Config", settings[`${name}LossWeight`]));
  return Object.fromEntries(lists) as NumberLists<`${DetectorLossName}LossWeights`>;
}

function maskLossLists() {
  const lists = maskLosses.flatMap(({ name, settings, searched }) => {
    const all: Record<string, DescribedNumber> = settings;
    const own = Object.entries<string>(searched).map(([key, about]) => [
      `${key}s`,
      list(all[key] as DescribedNumber, snakeCase(key), `stage2Config.${key}`, about),
    ]);
    return [weightList(name, "stage2Config", all[`${name}LossWeight`] as DescribedNumber), ...own];
  });
  return Object.fromEntries(lists) as NumberLists<`${MaskLossName}LossWeights` | `${SearchedLossSetting}s`>;
}

const epochs = { type: "integer", minimum: 1, default: null } as const;

/** In the order of the trial records. */
const fields = {
  stage1LearningRates: list(training.learningRate, "stage1_lr", "stage1Config.learningRate", "Learning rates of stage 1."),
  stage1TotalEpochs: list(epochs, "stage1_epochs", "stage1Config.totalEpochs", "Epochs of stage 1."),
  stage1Types: list(stage1.stage1Type, "stage1_type", "stage1Config.stage1Type", "What stage 1 trains."),
  ...detectorLossLists(),
  stage2LearningRates: list(training.learningRate, "stage2_lr", "stage2Config.learningRate", "Learning rates of stage 2."),
  stage2TotalEpochs: list(epochs, "stage2_epochs", "stage2Config.totalEpochs", "Epochs of stage 2."),
  ...maskLossLists(),
  gammas: list(pixels.gamma, "gamma", "gamma", "Exponents of the amounts of stain."),
  eosinValues: list(pixels.eosin, "eosin", "eosin", "Shares of eosin in the blue channel."),
  dabValues: list(pixels.dab, "dab", "dab", "Shares of DAB in the blue channel."),
  batchSizes: list(epoch.batchSize, "batch_size", "batchSize", "Tiles in a step."),
  augmentationFlags: list(epoch.augment, "augmentation", "augmentation", "With and without augmentation."),
  complexAugmentationFlags: list(
    epoch.complexAugmentation,
    "complex_augmentation",
    "complexAugmentation",
    "With and without complex augmentation.",
  ),
};

type Fields = typeof fields;
type FieldName = keyof Fields;
type Lists = { [Name in FieldName]: z.ZodOptional<z.ZodArray<Plain<Fields[Name]["setting"]>>> };
type Ranges = {
  [Name in FieldName as Fields[Name]["setting"] extends NumberSetting ? Name : never]: ReturnType<typeof range>;
};

const isWhole = (setting: Setting) => "type" in setting && setting.type === "integer";

const listOf = <T extends z.ZodType>(value: T) =>
  zod().array(value, { error: "must be a list" }).min(1, { error: "must list at least one value" }).optional();

const range = (onlyWhole: boolean) =>
  zod()
    .strictObject({
      min: (onlyWhole ? integer(1) : nonNegative()).describe("Lowest value."),
      max: (onlyWhole ? integer(1) : nonNegative()).describe("Highest value."),
      log: flag().default(false).describe("Draws uniformly in the logarithm, so that every decade is equally likely."),
    })
    .superRefine(({ min, max, log }, context) => {
      if (max <= min) context.addIssue({ code: "custom", path: ["max"], message: `must be > min (${min})` });
      if (log && min <= 0) context.addIssue({ code: "custom", path: ["min"], message: "must be > 0 with log: true" });
    })
    .optional();

function lists(): Lists {
  const entries = Object.entries<Searched>(fields).map(([name, { setting, about }]) => [
    name,
    listOf(plain(setting)).describe(about),
  ]);
  return Object.fromEntries(entries) as Lists;
}

/** Numbers can be drawn from a range too. */
function ranges(): Ranges {
  const drawn = Object.entries<Searched>(fields).filter(([, { setting }]) => "type" in setting && setting.type !== "boolean");
  return Object.fromEntries(
    drawn.map(([name, { setting, about }]) => [name, range(isWhole(setting)).describe(about)]),
  ) as Ranges;
}

const single = once(() =>
  zod().union([zod().string(), zod().number(), zod().boolean(), zod().null()], { error: "must be a single value" }),
);

export const spaceSchema = once(() =>
  zod()
    .strictObject({
      ...lists(),
      ranges: zod()
        .strictObject(ranges())
        .prefault({})
        .describe("Ranges to draw from instead of lists, for random search only."),
      settings: zod()
        .record(
          zod().string(),
          zod().array(single(), { error: "must be a list" }).min(1, { error: "must list at least one value" }),
        )
        .default({})
        .describe('Lists for any other setting, by its dotted name: { "stage1_config.weight_decay": [0, 1e-4] }.'),
    })
    .superRefine((space, context) => {
      for (const name of Object.keys(space.ranges) as FieldName[]) {
        if (space[name] !== undefined)
          context.addIssue({
            code: "custom",
            path: ["ranges", name],
            message: `is given, and so is the list ${name}; keep one`,
          });
      }
      for (const path of Object.keys(space.settings)) {
        const listed = Object.entries<Searched>(fields).find(([, field]) => field.path === camelPath(path));
        if (listed) context.addIssue({ code: "custom", path: ["settings", path], message: `already has a list, ${listed[0]}` });
      }
    }),
);

export type HyperparameterSpace = z.output<ReturnType<typeof spaceSchema>>;
/** A search space as a caller gives it: a list of values for each setting that is searched. */
export type SpaceInput = z.input<ReturnType<typeof spaceSchema>>;
/** A search space, checked. @throws CellsamError ERR_CONFIG */
export const HyperparameterSpace = configClass("HyperparameterSpace", spaceSchema);

export type ParameterValue = string | number | boolean | null;

/** One searched setting. */
export interface Parameter {
  /** Its name in trial records, e.g. "stage1_lr". */
  name: string;
  /** The dotted setting, e.g. "stage1Config.learningRate". */
  path: string;
  /** Its possible values: a list, or a range to draw from. */
  values: readonly ParameterValue[] | { min: number; max: number; log: boolean; whole: boolean };
}

function camelPath(path: string): string {
  return path.split(".").map(toCamelName).join(".");
}

/** The searched settings of a space, in the order of the trial records. */
export function parametersOf(space: HyperparameterSpace): Parameter[] {
  const named = Object.entries<Searched>(fields).flatMap(([name, { setting, record, path }]): Parameter[] => {
    const drawn = space.ranges[name as keyof typeof space.ranges];
    const values = drawn ? { ...drawn, whole: isWhole(setting) } : space[name as FieldName];
    return values ? [{ name: record, path, values }] : [];
  });
  const others = Object.entries(space.settings).map(([path, values]) => ({ name: path, path: camelPath(path), values }));
  return [...named, ...others];
}

/** The Python module's wide lists (2 985 984 combinations), or with `focused` four settings to begin with (16 combinations). */
export function createDefaultParamSpace(options: { focused?: boolean } = {}): HyperparameterSpace {
  const { focused = false } = fromSnake(options) as { focused?: boolean };
  if (focused) {
    return new HyperparameterSpace({
      stage1LearningRates: [1e-4, 1e-5],
      stage2LearningRates: [1e-4, 5e-5],
      focalGammas: [2, 3],
      augmentationFlags: [false, true],
    });
  }
  return new HyperparameterSpace({
    stage1LearningRates: [1e-4, 1e-5, 5e-5],
    stage1TotalEpochs: [300, 500, 700],
    stage1Types: ["cellfinder", "image_encoder", "all_backbones"],
    ceLossWeights: [1, 2],
    bboxLossWeights: [5, 10],
    giouLossWeights: [2, 5],
    stage2LearningRates: [1e-4, 1e-5, 5e-5],
    stage2TotalEpochs: [300, 500, 700],
    focalLossWeights: [1, 2],
    focalGammas: [2, 3],
    diceLossWeights: [1, 2],
    boundaryLossWeights: [0, 1],
    gammas: [1.8, 2.1, 2.4],
    eosinValues: [0, 0.1],
    dabValues: [0, 0.1],
    batchSizes: [1, 2],
    augmentationFlags: [false, true],
    complexAugmentationFlags: [false, true],
  });
}
