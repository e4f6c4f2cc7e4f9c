/** The strategy that a configuration names. A new one needs a line here. */
import type { ExperimentConfig } from "../config/experiment.js";
import { FullDatasetStrategy } from "./fullDataset.js";
import { KFoldStrategy } from "./kFold.js";
import { LeaveOneGroupOutStrategy } from "./leaveOneGroupOut.js";
import type { DrawnStrategy } from "./strategy.js";
import { TrainValSplitStrategy } from "./trainValSplit.js";

export function configuredStrategy(config: ExperimentConfig): DrawnStrategy {
  const { strategy, kFolds, valRatio, splitSeed, testRatio, testGroups, groups, splits } = config;
  const options = { randomSeed: splitSeed, testRatio, testGroups, groups, splits };
  if (strategy === "k_fold") return new KFoldStrategy({ ...options, k: kFolds });
  if (strategy === "full_dataset") return new FullDatasetStrategy(options);
  if (strategy === "leave_one_group_out") return new LeaveOneGroupOutStrategy(options);
  return new TrainValSplitStrategy({ ...options, valRatio });
}
