/**
 * The space of a hyper-parameter search: which values each searched setting may take. The Python module's 18 lists under their
 * own names; an unset list means the base configuration's single value.
 */

import type { z } from "zod";
import { once } from "../lazily.js";
import { stage1 } from "../settings/groups.js";
import { type DetectorLossName, detectorLosses } from "../settings/losses/detector.js";
import { type MaskLossName, maskLosses, type SearchedLossSetting } from "../settings/losses/table.js";
import { fromSnake, snakeCase, toCamelName } from "../spelling.js";
import { configClass } from "./configClass.js";
import { choice, flag, integer, nonNegative, positive, zod } from "./fields.js";

/** A list of the space: the setting that it searches, and what the setting may be. */
interface Searched<Value extends z.ZodType = z.ZodType, Drawn extends boolean = boolean> {
  /** The setting's short name in trial records. */
  record: string;
  path: string;
  value: Value;
  /** Whether values can be drawn from a range in place of a list, and only whole ones. */
  drawn: Drawn;
  whole: boolean;
  about: string;
}

const one = <Value extends z.ZodType>(value: Value, record: string, path: string, about: string): Searched<Value, false> => ({
  ...{ record, path, value, about, drawn: false, whole: false },
});
const real = (value: z.ZodNumber, record: string, path: string, about: string): Searched<z.ZodNumber, true> => ({
  ...{ record, path, value, about, drawn: true, whole: false },
});
const whole = (record: string, path: string, about: string): Searched<z.ZodNumber, true> => ({
  ...{ record, path, value: integer(1), about, drawn: true, whole: true },
});

type Numbers<Names extends string> = Record<Names, Searched<z.ZodNumber, true>>;

/** A list for the weight of each loss. */
function weights<Name extends string>(
  names: readonly Name[],
  stage: string,
  described: Record<string, { description: string }>,
) {
  const lists = names.map((name) => {
    const about = (described[`${name}LossWeight`] as { description: string }).description.replace("Weight", "Weights");
    return [`${name}LossWeights`, real(nonNegative(), `${name}_weight`, `${stage}.${name}LossWeight`, about)];
  });
  return Object.fromEntries(lists) as Numbers<`${Name}LossWeights`>;
}

function maskLossLists() {
  const lists = maskLosses.map(({ name, settings, searched }) => {
    const own = Object.entries<string>(searched).map(([setting, about]) => [
      `${setting}s`,
      real(nonNegative(), snakeCase(setting), `stage2Config.${setting}`, about),
    ]);
    return { ...weights([name], "stage2Config", settings), ...Object.fromEntries(own) };
  });
  return Object.assign({}, ...lists) as Numbers<`${MaskLossName}LossWeights` | `${SearchedLossSetting}s`>;
}

/** In the order of the trial records. */
const fields = once(() => ({
  stage1LearningRates: real(positive(), "stage1_lr", "stage1Config.learningRate", "Learning rates of stage 1."),
  stage1TotalEpochs: whole("stage1_epochs", "stage1Config.totalEpochs", "Epochs of stage 1."),
  stage1Types: one(choice(stage1.stage1Type.choices), "stage1_type", "stage1Config.stage1Type", "What stage 1 trains."),
  ...weights<DetectorLossName>(detectorLosses.names, "stage1Config", detectorLosses.settings),
  stage2LearningRates: real(positive(), "stage2_lr", "stage2Config.learningRate", "Learning rates of stage 2."),
  stage2TotalEpochs: whole("stage2_epochs", "stage2Config.totalEpochs", "Epochs of stage 2."),
  ...maskLossLists(),
  gammas: real(positive(), "gamma", "gamma", "Exponents of the amounts of stain."),
  eosinValues: real(nonNegative(), "eosin", "eosin", "Shares of eosin."),
  dabValues: real(nonNegative(), "dab", "dab", "Shares of DAB."),
  batchSizes: whole("batch_size", "batchSize", "Tiles in a step."),
  augmentationFlags: one(flag(), "augmentation", "augmentation", "With and without augmentation."),
  complexAugmentationFlags: one(
    flag(),
    "complex_augmentation",
    "complexAugmentation",
    "With and without complex augmentation.",
  ),
}));

type Fields = ReturnType<typeof fields>;
type FieldName = keyof Fields;
type Lists = { [Name in FieldName]: z.ZodOptional<z.ZodArray<Fields[Name]["value"]>> };
type Ranges = { [Name in FieldName as Fields[Name]["drawn"] extends true ? Name : never]: ReturnType<typeof range> };

const listOf = <T extends z.ZodType>(value: T) =>
  zod().array(value, { error: "must be a list" }).min(1, { error: "must list at least one value" }).optional();

const range = (onlyWhole: boolean) =>
  zod()
    .strictObject({
      min: (onlyWhole ? integer(1) : nonNegative()).describe("Lowest value."),
      max: (onlyWhole ? integer(1) : nonNegative()).describe("Highest value."),
      log: flag().default(false).describe("Draws uniformly in the logarithm: every decade is as likely as the next."),
    })
    .superRefine(({ min, max, log }, context) => {
      if (max <= min) context.addIssue({ code: "custom", path: ["max"], message: `must be > min (${min})` });
      if (log && min <= 0) context.addIssue({ code: "custom", path: ["min"], message: "must be > 0 with log: true" });
    })
    .optional();

function lists(): Lists {
  const entries = Object.entries<Searched>(fields());
  return Object.fromEntries(
    entries.map(([name, { value, about }]) => [name, listOf(value).describe(about)]),
  ) as unknown as Lists;
}

function ranges(): Ranges {
  const drawn = Object.entries<Searched>(fields()).filter(([, field]) => field.drawn);
  return Object.fromEntries(
    drawn.map(([name, field]) => [name, range(field.whole).describe(field.about)]),
  ) as unknown as Ranges;
}

const setting = once(() =>
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
          zod().array(setting(), { error: "must be a list" }).min(1, { error: "must list at least one value" }),
        )
        .default({})
        .describe('Lists for any other setting, by its dotted name: { "stage1_config.weight_decay": [0, 1e-4] }.'),
    })
    .superRefine((space, context) => {
      for (const name of Object.keys(space.ranges) as FieldName[]) {
        if (space[name] !== undefined)
          context.addIssue({ code: "custom", path: ["ranges", name], message: `is given beside the list ${name}; keep one` });
      }
      for (const path of Object.keys(space.settings)) {
        const listed = Object.entries<Searched>(fields()).find(([, field]) => field.path === camelPath(path));
        if (listed)
          context.addIssue({ code: "custom", path: ["settings", path], message: `has a list of its own, ${listed[0]}` });
      }
    }),
);

export type HyperparameterSpace = z.output<ReturnType<typeof spaceSchema>>;
/** A search space as a caller gives it: a list of values for each setting that is searched. */
export type SpaceInput = z.input<ReturnType<typeof spaceSchema>>;
/** A search space, checked. @throws CellsamError ERR_CONFIG */
export const HyperparameterSpace = configClass("HyperparameterSpace", spaceSchema);

export type Value = string | number | boolean | null;

/** One searched setting. */
export interface Parameter {
  /** Its name in trial records, e.g. "stage1_lr". */
  name: string;
  /** The dotted setting, e.g. "stage1Config.learningRate". */
  path: string;
  /** What it may be: a list of values, or a range to draw from. */
  values: readonly Value[] | { min: number; max: number; log: boolean; whole: boolean };
}

function camelPath(path: string): string {
  return path.split(".").map(toCamelName).join(".");
}

/** The searched settings of a space, in the order of the trial records. */
export function parametersOf(space: HyperparameterSpace): Parameter[] {
  const named = Object.entries<Searched>(fields()).flatMap(([name, { record, path, whole }]): Parameter[] => {
    const drawn = space.ranges[name as keyof typeof space.ranges];
    const values = drawn ? { ...drawn, whole } : space[name as FieldName];
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
