/** Settings of the splits into training, validation and test images: the strategy, how it draws, or the file to use. */
import type { z } from "zod";
import { type StrategyName, strategies } from "../strategies/table.js";
import { choice, flag, fraction, integer, openRatio, path, ratioBelow, text, zod } from "./fields.js";

const names = Object.keys(strategies) as [StrategyName, ...StrategyName[]];

/** Defaults of the settings by which splits are drawn; with `splits`, none may be changed. */
export const splitDefaults = { valRatio: 0.3, testRatio: 0, splitSeed: 23, groupDuplicates: false };

export const strategyFields = () => ({
  strategy: choice(names).default("k_fold").describe("How images are divided between training and validation."),
  kFolds: integer(2).default(5).describe("Number of folds of the strategy k_fold."),
  valRatio: openRatio()
    .default(splitDefaults.valRatio)
    .describe("Share of the images that is for validation, with the strategy train_val_split."),
  splitSeed: integer(0, 2 ** 32 - 1)
    .default(splitDefaults.splitSeed)
    .describe("Seed of the random splits."),
  testRatio: ratioBelow(1)
    .default(splitDefaults.testRatio)
    .describe(
      "Share of the images that is held out for a test: they never train, and no model or threshold is chosen with them.",
    ),
  testGroups: zod()
    .array(text("must be the name of a group"), { error: "must be a list of groups" })
    .default([])
    .describe("Names of the groups that are held out for the test, instead of a random share; needs `groups`."),
  groups: path()
    .nullable()
    .default(null)
    .describe(
      "A table (.csv, .tsv) or mapping (.json, .yaml) from images to their group, such as a slide or patient; a group is " +
        "never divided by a split.",
    ),
  splits: path()
    .nullable()
    .default(null)
    .describe("A splits.json to use instead of random splits: one split, or a list with one for each fold."),
  findDuplicates: flag()
    .default(true)
    .describe("Looks for near-duplicate images, and warns when they are on different sides of a split."),
  groupDuplicates: flag()
    .default(splitDefaults.groupDuplicates)
    .describe("Keeps near-duplicates on the same side of a split, as if they were a group."),
  duplicateThreshold: fraction().default(0.9).describe("Smallest correlation of the thumbnails of two near-duplicates."),
});

type StrategySettings = z.output<z.ZodObject<ReturnType<typeof strategyFields>>>;

/** Settings that contradict each other, each with its key. */
export function strategyProblems(config: StrategySettings): { key: string; message: string }[] {
  const problems: { key: string; message: string }[] = [];
  for (const [key, value] of Object.entries(splitDefaults)) {
    if (config.splits !== null && config[key as keyof typeof splitDefaults] !== value)
      problems.push({ key, message: "has no effect with `splits`, where no split is drawn" });
  }
  if (config.testGroups.length > 0) {
    if (config.splits !== null) problems.push({ key: "testGroups", message: "has no effect with `splits`" });
    if (config.groups === null) problems.push({ key: "testGroups", message: "needs `groups`, the file that names the groups" });
    if (config.testRatio > 0) problems.push({ key: "testGroups", message: "replaces testRatio; set one of them" });
  }
  if (config.strategy === "leave_one_group_out" && config.groups === null && config.splits === null)
    problems.push({ key: "groups", message: "is needed by the strategy leave_one_group_out" });
  if (config.groupDuplicates && !config.findDuplicates)
    problems.push({ key: "groupDuplicates", message: "needs findDuplicates" });
  return problems;
}
