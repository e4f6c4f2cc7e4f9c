/** The public names of the package, by area; docs/api.md has the areas in this order. */

// Training

export type {
  CheckpointEvent,
  EpochEvent,
  FoldEvent,
  NoticeEvent,
  ProgressEvent,
  StageEvent,
  StepEvent,
  TrainingEvent,
} from "./events.js";
export { finetune } from "./python/finetune.js";
export type { FinetuneOptions } from "./python/finetuneKeywords.js";
export { ExperimentRunner } from "./train/experiment.js";
export type { RunnerOptions } from "./train/options.js";
export type { FoldResult, StageResult } from "./train/results.js";
export { type Training, train } from "./train/train.js";

// Planning and early stopping

export { EarlyStopping, type EarlyStoppingOptions, type EarlyStoppingState } from "./monitor/earlyStopping.js";
export { type PlanOptions, planExperiment } from "./plan/experiment.js";
export type { Plan } from "./plan/plan.js";

// Strategies

export {
  FullDatasetStrategy,
  KFoldStrategy,
  LeaveOneGroupOutStrategy,
  TrainValSplitStrategy,
} from "./python/strategies.js";
export type { KFoldOptions } from "./strategies/kFold.js";
export type { DrawnOptions, Splits, Strategy } from "./strategies/strategy.js";
export type { TrainValSplitOptions } from "./strategies/trainValSplit.js";

// Prediction

export type { OpenDetectorOptions } from "./predict/detector.js";
export { type PredictFolderOptions, predictFolder } from "./predict/folder.js";
export type { PredictionFormat } from "./predict/formats.js";
export { type ManyImage, type ManyPrediction, type PredictManyOptions, predictMany } from "./predict/many.js";
export type { PredictedImage } from "./predict/outputs.js";
export {
  openPredictor,
  type Predictor,
  type PredictorOptions,
  type PredictorPredictOptions,
  type PredictorSource,
  type TrainedSource,
} from "./predict/predictor.js";

// Evaluation

export {
  type EvaluateFoldersOptions,
  type EvaluateOptions,
  type EvaluateWeightsOptions,
  evaluateFolders,
  evaluateWeights,
  type FolderEvaluation,
  type TruthOptions,
} from "./evaluation/folders.js";
export type { Evaluation, ImageEvaluation } from "./evaluation/model.js";
export {
  type CocoRates,
  type DeepcellRates,
  type EvaluationOptions,
  evaluatePair,
  type MatchCounts,
  type PairEvaluation,
  type Rates,
  type Summary,
  summarize,
} from "./evaluation/pairs.js";

// Detection thresholds

export {
  type AssembleOptions,
  assemblePrediction,
  type Candidates,
  type ImageSweep,
  sweepThresholds,
} from "./engine/inference.js";
export {
  metricsAt,
  type OptimizableMetric,
  type OptimizedThresholds,
  optimizeThresholds,
  type ThresholdMetrics,
} from "./evaluation/thresholds.js";

// Search

export type { SearchEvent, TrialEpochEvent, TrialEvent } from "./search/events.js";
export { HyperparameterOptimizer, type OptimizerOptions, runGridSearch, runRandomSearch } from "./search/optimizer.js";
export type { SearchResult, TrialRecord } from "./search/results.js";
export type { Hyperparameters, Trial } from "./search/trials.js";

// Statistics

export { compareExperiments, type ExperimentComparison } from "./stats/experiments.js";

// Data

export { generateSynthetic, type SyntheticDataset, type SyntheticOptions } from "./data/synthetic.js";
export type { NdArray } from "./engine/native.js";
export { openStoreWriter, type StoreImage, type StoreWriter, type StoreWriterOptions } from "./engine/storeWriter.js";

// Sessions

export {
  type BoxPrediction,
  type CandidatesOptions,
  type Device,
  type EpochReport,
  type ImageArray,
  type InferenceOptions,
  type LoadReport,
  type Losses,
  type LossWeights,
  openSession,
  type ParameterInfo,
  type PixelOptions,
  type Prediction,
  type PredictOptions,
  type PromptIou,
  type PromptIouOptions,
  type SavedState,
  type SaveReport,
  type Session,
  type SessionOptions,
  type StageOptions,
  type StageReport,
  type StateReport,
  type TrainEpochOptions,
  type ValidateOptions,
  type ValidateReport,
} from "./engine/session.js";

// Losses

export * from "./engine/losses.js";

// Reports

export { MetricsTracker, type MetricsTrackerOptions } from "./monitor/metricsTracker.js";
export type { OverlayImage, OverlayLabels } from "./report/canvas.js";
export { writeExperimentReport } from "./report/experimentReport.js";
export { writeOverlay } from "./report/overlay.js";
export { writeSearchReport } from "./report/searchReport.js";
export { TrainingVisualizer, type TrainingVisualizerOptions } from "./report/trainingVisualizer.js";

// Configuration

export type { ConfigMethods } from "./config/configClass.js";
export { ExperimentConfig, type ExperimentInput } from "./config/experiment.js";
export type { InferenceConfig, PredictConfig, PredictInput } from "./config/inference.js";
export { createDefaultParamSpace, HyperparameterSpace, type SpaceInput } from "./config/space.js";
export { Stage1Config, type Stage1Input } from "./config/stage1.js";
export { Stage2Config, type Stage2Input } from "./config/stage2.js";

// Errors

export { CellsamError, type ErrorCode, type Failure } from "./errors.js";

// The Python module's classes

export {
  AdaptiveEarlyStopping,
  type AdaptiveOptions,
  MultiMetricEarlyStopping,
  type StoppingRule,
  type WatchedMetric,
} from "./python/adaptiveStopping.js";
export { type Checkpoint, CheckpointManager, type CheckpointManagerOptions } from "./python/checkpointManager.js";
export {
  GPUMonitor,
  type GPUMonitorOptions,
  type GpuMemoryInfo,
  type MemorySnapshot,
  type SystemMemoryInfo,
} from "./python/gpuMonitor.js";
export type { ResultMethods } from "./python/strategies.js";
