/** The strategies that a configuration can name. docs/extending.md says how one is added. */
import { FullDatasetStrategy } from "./fullDataset.js";
import { KFoldStrategy } from "./kFold.js";
import { LeaveOneGroupOutStrategy } from "./leaveOneGroupOut.js";
import type { DrawnOptions, DrawnStrategy } from "./strategy.js";
import { TrainValSplitStrategy } from "./trainValSplit.js";

/** What strategies are made of. A strategy takes of it what it needs. */
export interface StrategySettings {
  /** How every strategy draws its splits. */
  draw: DrawnOptions;
  /** Of k_fold: how many. */
  kFolds: number;
  /** Of train_val_split: share of the images that validates. */
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
