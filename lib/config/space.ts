/**
 * The space of a hyper-parameter search: which values each searched setting may take. The Python module's 18 lists under their
 * own names; an unset list means the base configuration's single value.
 */

import type { z } from "zod";
import { once } from "../lazily.js";
import { fromSnake, toCamelName } from "../spelling.js";
import { configClass } from "./configClass.js";
import { choice, flag, integer, nonNegative, positive, zod } from "./fields.js";
import { stage1Types } from "./stage1.js";

/** A list of the space: the setting that it searches, and the setting's short name in trial records. */
interface SpaceField {
  record: string;
  path: string;
}

/** In the order of the trial records. */
const fields = {
  stage1LearningRates: { record: "stage1_lr", path: "stage1Config.learningRate" },
  stage1TotalEpochs: { record: "stage1_epochs", path: "stage1Config.totalEpochs" },
  stage1Types: { record: "stage1_type", path: "stage1Config.stage1Type" },
  ceLossWeights: { record: "ce_weight", path: "stage1Config.ceLossWeight" },
  bboxLossWeights: { record: "bbox_weight", path: "stage1Config.bboxLossWeight" },
  giouLossWeights: { record: "giou_weight", path: "stage1Config.giouLossWeight" },
  stage2LearningRates: { record: "stage2_lr", path: "stage2Config.learningRate" },
  stage2TotalEpochs: { record: "stage2_epochs", path: "stage2Config.totalEpochs" },
  focalLossWeights: { record: "focal_weight", path: "stage2Config.focalLossWeight" },
  focalGammas: { record: "focal_gamma", path: "stage2Config.focalGamma" },
  diceLossWeights: { record: "dice_weight", path: "stage2Config.diceLossWeight" },
  boundaryLossWeights: { record: "boundary_weight", path: "stage2Config.boundaryLossWeight" },
  gammas: { record: "gamma", path: "gamma" },
  eosinValues: { record: "eosin", path: "eosin" },
  dabValues: { record: "dab", path: "dab" },
  batchSizes: { record: "batch_size", path: "batchSize" },
  augmentationFlags: { record: "augmentation", path: "augmentation" },
  complexAugmentationFlags: { record: "complex_augmentation", path: "complexAugmentation" },
} as const satisfies Record<string, SpaceField>;

type FieldName = keyof typeof fields;

const listOf = <T extends z.ZodType>(value: T) =>
  zod().array(value, { error: "must be a list" }).min(1, { error: "must list at least one value" }).optional();

const range = (whole: boolean) =>
  zod()
    .strictObject({
      min: (whole ? integer(1) : nonNegative()).describe("Lowest value."),
      max: (whole ? integer(1) : nonNegative()).describe("Highest value."),
      log: flag().default(false).describe("Draws uniformly in the logarithm: every decade is as likely as the next."),
    })
    .superRefine(({ min, max, log }, context) => {
      if (max <= min) context.addIssue({ code: "custom", path: ["max"], message: `must be > min (${min})` });
      if (log && min <= 0) context.addIssue({ code: "custom", path: ["min"], message: "must be > 0 with log: true" });
    })
    .optional();

const setting = once(() =>
  zod().union([zod().string(), zod().number(), zod().boolean(), zod().null()], { error: "must be a single value" }),
);

export const spaceSchema = once(() =>
  zod()
    .strictObject({
      stage1LearningRates: listOf(positive()).describe("Learning rates of stage 1."),
      stage1TotalEpochs: listOf(integer(1)).describe("Epochs of stage 1."),
      stage1Types: listOf(choice(stage1Types)).describe("What stage 1 trains."),
      ceLossWeights: listOf(nonNegative()).describe("Weights of the class loss."),
      bboxLossWeights: listOf(nonNegative()).describe("Weights of the L1 loss of boxes."),
      giouLossWeights: listOf(nonNegative()).describe("Weights of the GIoU loss."),
      stage2LearningRates: listOf(positive()).describe("Learning rates of stage 2."),
      stage2TotalEpochs: listOf(integer(1)).describe("Epochs of stage 2."),
      focalLossWeights: listOf(nonNegative()).describe("Weights of the focal loss."),
      focalGammas: listOf(nonNegative()).describe("Focusing exponents of the focal loss."),
      diceLossWeights: listOf(nonNegative()).describe("Weights of the dice loss."),
      boundaryLossWeights: listOf(nonNegative()).describe("Weights of the boundary loss."),
      gammas: listOf(positive()).describe("Exponents of the amounts of stain."),
      eosinValues: listOf(nonNegative()).describe("Shares of eosin."),
      dabValues: listOf(nonNegative()).describe("Shares of DAB."),
      batchSizes: listOf(integer(1)).describe("Tiles in a step."),
      augmentationFlags: listOf(flag()).describe("With and without augmentation."),
      complexAugmentationFlags: listOf(flag()).describe("With and without complex augmentation."),
      ranges: zod()
        .strictObject({
          stage1LearningRates: range(false).describe("Learning rates of stage 1."),
          stage1TotalEpochs: range(true).describe("Epochs of stage 1."),
          ceLossWeights: range(false).describe("Weights of the class loss."),
          bboxLossWeights: range(false).describe("Weights of the L1 loss of boxes."),
          giouLossWeights: range(false).describe("Weights of the GIoU loss."),
          stage2LearningRates: range(false).describe("Learning rates of stage 2."),
          stage2TotalEpochs: range(true).describe("Epochs of stage 2."),
          focalLossWeights: range(false).describe("Weights of the focal loss."),
          focalGammas: range(false).describe("Focusing exponents of the focal loss."),
          diceLossWeights: range(false).describe("Weights of the dice loss."),
          boundaryLossWeights: range(false).describe("Weights of the boundary loss."),
          gammas: range(false).describe("Exponents of the amounts of stain."),
          eosinValues: range(false).describe("Shares of eosin."),
          dabValues: range(false).describe("Shares of DAB."),
          batchSizes: range(true).describe("Tiles in a step."),
        })
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
        const listed = Object.entries(fields).find((entry) => entry[1].path === camelPath(path));
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
  const named = (Object.keys(fields) as FieldName[]).flatMap((name): Parameter[] => {
    const { record, path } = fields[name];
    const drawn = space.ranges[name as keyof typeof space.ranges];
    const whole = name.endsWith("TotalEpochs") || name === "batchSizes";
    const values = drawn ? { ...drawn, whole } : space[name];
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
