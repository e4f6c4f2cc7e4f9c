/** The strategies that a configuration can name. docs/extending.md says how one is added. */
import { FullDatasetStrategy } from "./fullDataset.js";
import { KFoldStrategy } from "./kFold.js";
import { LeaveOneGroupOutStrategy } from "./leaveOneGroupOut.js";
import type { DrawnOptions, DrawnStrategy } from "./strategy.js";
import { TrainValSplitStrategy } from "./trainValSplit.js";

/** The settings from which strategies are made; each uses those that it needs. */
export interface StrategySettings {
  /** How splits are drawn. */
  draw: DrawnOptions;
  /** Number of folds, of k_fold. */
  kFolds: number;
  /** Share of the images that is for validation, of train_val_split. */
  valRatio: number;
}

/** By the name in a configuration. */
export const strategies = {
  k_fold: ({ draw, kFolds }) => new KFoldStrategy({ ...draw, k: kFolds }),
  train_val_split: ({ draw, valRatio }) => new TrainValSplitStrategy({ ...draw, valRatio }),
  full_dataset: ({ draw }) => new FullDatasetStrategy(draw),
  leave_one_group_out: ({ draw }) => new LeaveOneGroupOutStrategy(draw),
} as const satisfies Record<string, (settings: StrategySettings) => DrawnStrategy>;

export type StrategyName = keyof typeof strategies;

type Config = Omit<StrategySettings, "draw"> & DrawnOptions & { strategy: StrategyName; splitSeed: number };

/** The strategy that a configuration names, with its settings. */
export function configuredStrategy(config: Config): DrawnStrategy {
  const { strategy, splitSeed: randomSeed, testRatio = 0, testGroups = [], groups = null, splits = null, ...own } = config;
  return strategies[strategy]({ ...own, draw: { randomSeed, testRatio, testGroups, groups, splits } });
}
