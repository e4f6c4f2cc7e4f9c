/** The keywords of the Python module's finetune(), and the configuration that they stand for. */
import { type ExperimentInput, experimentSchema } from "../config/experiment.js";
import { type ConfigProblem, configError } from "../config/parse.js";
import { nearest } from "../nearest.js";
import { fromSnake } from "../spelling.js";

/** finetune's keywords that name a setting of a stage. */
const stageKeywords: Record<string, readonly ["stage1Config" | "stage2Config", string]> = {
  stage1: ["stage1Config", "stage1Type"],
  stage1Type: ["stage1Config", "stage1Type"],
  totalEpochsS1: ["stage1Config", "totalEpochs"],
  totalEpochsS2: ["stage2Config", "totalEpochs"],
  lrStage1: ["stage1Config", "learningRate"],
  lrStage2: ["stage2Config", "learningRate"],
  ceLossWeight: ["stage1Config", "ceLossWeight"],
  bboxLossWeight: ["stage1Config", "bboxLossWeight"],
  giouLossWeight: ["stage1Config", "giouLossWeight"],
  focalLossWeight: ["stage2Config", "focalLossWeight"],
  focalGamma: ["stage2Config", "focalGamma"],
  diceLossWeight: ["stage2Config", "diceLossWeight"],
  boundaryLossWeight: ["stage2Config", "boundaryLossWeight"],
  onlineHardNegativeMining: ["stage2Config", "onlineHardNegativeMining"],
  onlineHardNegativeMiningWeighted: ["stage2Config", "onlineHardNegativeMiningWeighted"],
};

/** In the order in which the Python module evaluates them. */
const strategyFlags = { useFullDataset: "full_dataset", trainValTraining: "train_val_split", kFoldTraining: "k_fold" } as const;
type StrategyFlag = keyof typeof strategyFlags;
const isStrategyFlag = (key: string): key is StrategyFlag => Object.hasOwn(strategyFlags, key);

/** Keywords of the Python module and settings of ExperimentConfig, in camelCase or snake_case. */
export type FinetuneOptions = Record<string, unknown>;

/**
 * The configuration that a call of `finetune` stands for. An explicit `strategy` takes precedence over the strategy flags.
 * @throws CellsamError ERR_CONFIG for unknown keywords and for flags that contradict each other
 */
export function finetuneConfig(
  imgPath: string,
  maskPath: string,
  outputName: string,
  options: FinetuneOptions = {},
): ExperimentInput {
  const keywords = fromSnake(options) as Record<string, unknown>;
  const experimentKeys = Object.keys(experimentSchema().shape);
  const config: Record<string, unknown> = { imgPath, maskPath, outputName };
  const stages: Record<string, Record<string, unknown>> = {
    stage1Config: { ...(keywords.stage1Config as object | undefined) },
    stage2Config: { ...(keywords.stage2Config as object | undefined) },
  };
  const problems: ConfigProblem[] = [];
  const flags: StrategyFlag[] = [];
  for (const [key, value] of Object.entries(keywords)) {
    const setting = stageKeywords[key];
    if (setting) {
      const [stage, name] = setting;
      const group = stages[stage] as Record<string, unknown>;
      if (Object.hasOwn(group, name)) problems.push({ key, message: `${stage}.${name} is given twice` });
      group[name] = value;
    } else if (isStrategyFlag(key)) {
      if (typeof value !== "boolean") problems.push({ key, message: "must be true or false" });
      else if (value) flags.push(key);
    } else if (key === "multipleDatasets") {
      // The Python module's switch for additionalDatasets.
      const some = Array.isArray(keywords.additionalDatasets) && keywords.additionalDatasets.length > 0;
      if (value !== some)
        problems.push({ key, message: `is ${value}, but additionalDatasets ${some ? "lists some" : "lists none"}` });
    } else if (!experimentKeys.includes(key)) {
      const meant = nearest(key, [...Object.keys(stageKeywords), ...Object.keys(strategyFlags), ...experimentKeys]);
      problems.push({ key, message: `unknown keyword${meant ? `; did you mean ${meant}?` : ""}` });
    } else if (!Object.hasOwn(stages, key)) {
      config[key] = value;
    }
  }
  const [flag] = flags;
  if (config.strategy === undefined && flag) config.strategy = strategyFlags[flag];
  if (flags.length > 1 && keywords.strategy === undefined) {
    problems.push({ key: flags.join(", "), message: "contradict each other; set one of them, or strategy" });
  }
  if (problems.length > 0) throw configError("finetune", problems);
  return { ...config, ...stages } as ExperimentInput;
}
