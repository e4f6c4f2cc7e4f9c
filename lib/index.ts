/** The public names of the package. */

export { ExperimentConfig, type ExperimentInput } from "./config/experiment.js";
export type { FinetuneOptions } from "./config/finetuneKeywords.js";
export type { InferenceConfig, PredictConfig, PredictInput } from "./config/inference.js";
export { Stage1Config, type Stage1Input } from "./config/stage1.js";
export { Stage2Config, type Stage2Input } from "./config/stage2.js";
export { generateSynthetic, type SyntheticDataset, type SyntheticOptions } from "./data/synthetic.js";
export { CellsamError, type ErrorCode } from "./errors.js";
export { evaluatePair, type MatchCounts, type PairEvaluation, type Rates, type Summary, summarize } from "./evaluation.js";
export type * from "./events.js";
export * from "./losses.js";
export { CheckpointManager, type CheckpointManagerOptions } from "./monitor/checkpointManager.js";
export type { EarlyStoppingOptions, EarlyStoppingState } from "./monitor/earlyStopping.js";
export { EarlyStopping } from "./monitor/earlyStopping.js";
export { MetricsTracker, type MetricsTrackerOptions } from "./monitor/metricsTracker.js";
export type { NdArray } from "./native.js";
export { writeOverlay } from "./report/overlay.js";
export { type EvaluateOptions, evaluateFolders, evaluateWeights, type FolderEvaluation } from "./runners/evaluate.js";
export { ExperimentRunner, type RunnerOptions } from "./runners/experiment.js";
export type { Evaluation, ImageEvaluation } from "./runners/finalEvaluation.js";
export { finetune } from "./runners/finetune.js";
export { type LabelFormat, type PredictedImage, type PredictFolderOptions, predictFolder } from "./runners/predict.js";
export type { FoldResult, StageResult } from "./runners/results.js";
export { openSession, type Prediction, type PredictOptions, type Session, type SessionOptions } from "./session.js";
export type { Splits, Strategy } from "./strategies/strategy.js";
export { type TrainValSplitOptions, TrainValSplitStrategy } from "./strategies/trainValSplit.js";
