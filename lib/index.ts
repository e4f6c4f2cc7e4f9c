/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The public names of the package, by area; docs/api.md has the areas in this order. The reference above is for programs whose
 * compiler knows no `using` yet.
 */

// Training

export type { PoolInput } from "./config/pool.js";
export type { StageNumber } from "./config/stageOptions.js";
export type {
  CheckpointEvent,
  EpochEvent,
  FoldEvent,
  NoticeEvent,
  ProgressEvent,
  ProgressTask,
  StageEvent,
  StepEvent,
  TrainingEvent,
} from "./events.js";
export { finetune } from "./python/finetune.js";
export type { FinetuneOptions } from "./python/finetuneKeywords.js";
export { ExperimentRunner } from "./train/experiment.js";
export type { LossWeightSchedule, RunnerOptions } from "./train/options.js";
export type { OutputTree } from "./train/outputTree.js";
export type { FoldResult, History, StageResult, TestResult } from "./train/results.js";
export { type Training, train } from "./train/train.js";

// Planning and early stopping

export type { DuplicatePair } from "./data/duplicates.js";
export { EarlyStopping, type EarlyStoppingOptions, type EarlyStoppingState } from "./monitor/earlyStopping.js";
export { type PlanOptions, planExperiment } from "./plan/experiment.js";
export type { Plan, SidePlan, Spread } from "./plan/plan.js";
export type { Probe, StageProbe, TileTimes } from "./plan/probe.js";
export type { RanksForecast, RanksOptions, StageRanks } from "./plan/ranks.js";
export type { TimeForecast } from "./plan/time.js";

// Strategies

export type { Groups } from "./data/split.js";
export {
  FullDatasetStrategy,
  KFoldStrategy,
  LeaveOneGroupOutStrategy,
  TrainValSplitStrategy,
} from "./python/strategies.js";
export type { FoldMetrics } from "./stats/folds.js";
export type { KFoldOptions } from "./strategies/kFold.js";
export type { DrawnOptions, KnownGroups, Splits, Strategy, StrategyResult } from "./strategies/strategy.js";
export type { TrainValSplitOptions } from "./strategies/trainValSplit.js";

// Prediction

export type { OpenDetectorOptions } from "./predict/detector.js";
export { type PredictFolderOptions, predictFolder } from "./predict/folder.js";
export type { PredictionFormat } from "./predict/formats.js";
export type { ImageView, PromptedCell } from "./predict/imageView.js";
export { type ManyImage, type ManyPrediction, type PredictManyOptions, predictMany } from "./predict/many.js";
export {
  openPredictor,
  type Predictor,
  type PredictorEmbedOptions,
  type PredictorOptions,
  type PredictorPredictOptions,
  type PredictorSource,
  type TrainedSource,
} from "./predict/predictor.js";
export type { LowResolutionMask, Prompt } from "./predict/prompts.js";
export type { PredictedImage } from "./predict/scores.js";
export type { Shard } from "./predict/shard.js";
export { mergePredictions } from "./predict/shardedFolder.js";

// Evaluation

export type { DatasetConfig } from "./data/dataset.js";
export type { DiscoverOptions } from "./data/discover.js";
export type { Annotation, Relabel } from "./data/image.js";
export type { ReadingOptions } from "./data/pair.js";
export type { CocoImage } from "./evaluation/coco.js";
export {
  type EvaluateFoldersOptions,
  type EvaluateOptions,
  type EvaluateWeightsOptions,
  evaluateFolders,
  evaluateWeights,
  type FolderEvaluation,
  type TruthOptions,
} from "./evaluation/folders.js";
export type {
  BestThresholds,
  EvaluateModelOptions,
  Evaluation,
  EvaluationFailure,
  ImageEvaluation,
} from "./evaluation/model.js";
export {
  type CocoRates,
  type DeepcellRates,
  type EvaluationOptions,
  evaluatePair,
  type MatchCounts,
  type PairEvaluation,
  type Rates,
  type Reliability,
  type ReliabilityBin,
  type Summary,
  summarize,
} from "./evaluation/pairs.js";
export { type EvaluateShardOptions, evaluateShard, mergeEvaluation } from "./evaluation/shards.js";

export type { BoundarySums, PixelSums, Sums } from "./evaluation/sums.js";

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

export type { SearchInput, SearchOptions } from "./config/search.js";
export type { ParameterValue } from "./config/space.js";
export type { SearchEvent, SearchNotice, TrialEpochEvent, TrialEvent } from "./search/events.js";
export type { Importance } from "./search/importance.js";
export type { EndLine, LossHistory, Reached } from "./search/journal.js";
export type { TrialEpoch } from "./search/messages.js";
export type { FoldRecord } from "./search/metric.js";
export { HyperparameterOptimizer, type OptimizerOptions, runGridSearch, runRandomSearch } from "./search/optimizer.js";
export type { SearchResult, TrialRecord } from "./search/results.js";
export type { SearchRunOptions } from "./search/searchRun.js";
export type { Hyperparameters, Trial } from "./search/trials.js";

// Statistics

export type { Comparison, MetricComparison } from "./stats/compare.js";
export { compareExperiments, type ExperimentComparison } from "./stats/experiments.js";
export type { TTest, Wilcoxon } from "./stats/significance.js";

// Images and cells as files

export type { NdImage, ReadImageOptions } from "./data/image.js";
export { readImage } from "./data/readImage.js";
export { writeLabels } from "./data/write.js";
export { type CellTableWriter, openCellTableWriter, type StoredPixels } from "./data/writers/cellTable.js";
export { type CocoWriter, openCocoWriter } from "./data/writers/coco.js";
export { type GeojsonOptions, writeGeojson } from "./data/writers/geojson.js";
export { writeRoiZip } from "./data/writers/imagejRoi.js";
export { type CellPolygons, toPolygons } from "./data/writers/polygons.js";
export type { LabelArray, Segmentation } from "./data/writers/segmentation.js";

// Data

export { generateSynthetic, type SyntheticDataset, type SyntheticOptions } from "./data/synthetic.js";
export type { NdArray, NumberArray } from "./engine/native.js";
export { openStoreWriter, type StoreImage, type StoreWriter, type StoreWriterOptions } from "./engine/storeWriter.js";

// Sessions

export {
  type BoxPrediction,
  type CandidatesOptions,
  type Detections,
  type Device,
  type EmbedOptions,
  type EpochReport,
  type ImageArray,
  type InferenceOptions,
  type LoadReport,
  type Losses,
  type LossWeights,
  openSession,
  type ParameterInfo,
  type PixelOptions,
  type Precision,
  type Prediction,
  type PredictOptions,
  type PromptArrays,
  type PromptedArrays,
  type PromptIou,
  type PromptIouOptions,
  type SavedState,
  type SaveReport,
  type Session,
  type SessionOptions,
  type SessionView,
  type StageOptions,
  type StageReport,
  type StateReport,
  type TrainEpochOptions,
  type ValidateOptions,
  type ValidateReport,
} from "./engine/session.js";

// Losses

export * from "./engine/losses.js";
export type { DetectorLossName } from "./settings/losses/detector.js";
export type { MaskLossName } from "./settings/losses/table.js";

// Reports

export {
  type MetricSummary,
  type MetricsFile,
  MetricsTracker,
  type MetricsTrackerOptions,
  type Phase,
} from "./monitor/metricsTracker.js";
export type { OverlayImage, OverlayLabels } from "./report/canvas.js";
export type { Series } from "./report/charts.js";
export { writeExperimentReport } from "./report/experimentReport.js";
export { writeOutlines, writeOverlay } from "./report/overlay.js";
export { writeSearchReport } from "./report/searchReport.js";
export type { Boxes, VisualImage, VisualLabels } from "./report/trainingPictures.js";
export { type PictureOptions, TrainingVisualizer, type TrainingVisualizerOptions } from "./report/trainingVisualizer.js";
export type { Direction } from "./stats/direction.js";

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

export type { OnWriteFailure } from "./monitor/appendedFile.js";
export type { Level, Log } from "./monitor/log.js";
export type { DeviceReading, MemorySources, MemoryStats } from "./monitor/memory.js";
export {
  AdaptiveEarlyStopping,
  type AdaptiveOptions,
  MultiMetricEarlyStopping,
  type StoppingRule,
  type WatchedMetric,
} from "./python/adaptiveStopping.js";
export { type Checkpoint, CheckpointManager, type CheckpointManagerOptions, type Loads } from "./python/checkpointManager.js";
export {
  GPUMonitor,
  type GPUMonitorOptions,
  type GpuMemoryInfo,
  type MemorySnapshot,
  type SnapshotLabels,
  type SystemMemoryInfo,
} from "./python/gpuMonitor.js";
export type { ResultMethods, TrainFold } from "./python/strategies.js";
export type { SystemMemory } from "./runtime/systemMemory.js";
export type { Aggregate } from "./stats/folds.js";
export type { Description, Interval } from "./stats/summary.js";
export type { CheckpointOptions } from "./train/checkpoints.js";
export type { CheckpointInfo, CheckpointKind } from "./train/manifest.js";
