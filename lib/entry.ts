/**
 * What `import "cellsam-train"` runs: the names of index.ts, whose types it has (test/unit/start.test.ts compares them). A
 * function that returns a promise is loaded by its first call, since most programs call few of them. Everything else is loaded
 * at once, and loads its own packages later (lazily.ts).
 */

export { ExperimentConfig } from "./config/experiment.js";
export { createDefaultParamSpace, HyperparameterSpace } from "./config/space.js";
export { Stage1Config } from "./config/stage1.js";
export { Stage2Config } from "./config/stage2.js";
export { toPolygons } from "./data/writers/polygons.js";
export * from "./engine/losses.js";
export { CellsamError } from "./errors.js";
export { evaluatePair, summarize } from "./evaluation/pairs.js";
export { metricsAt, optimizeThresholds } from "./evaluation/thresholds.js";
export { EarlyStopping } from "./monitor/earlyStopping.js";
export { MetricsTracker } from "./monitor/metricsTracker.js";
export { AdaptiveEarlyStopping, MultiMetricEarlyStopping } from "./python/adaptiveStopping.js";
export { CheckpointManager } from "./python/checkpointManager.js";
export { GPUMonitor } from "./python/gpuMonitor.js";
export { FullDatasetStrategy, KFoldStrategy, LeaveOneGroupOutStrategy, TrainValSplitStrategy } from "./python/strategies.js";
export { TrainingVisualizer } from "./report/trainingVisualizer.js";
export { HyperparameterOptimizer, runGridSearch, runRandomSearch } from "./search/optimizer.js";
export { ExperimentRunner } from "./train/experiment.js";
export { train } from "./train/train.js";

import type { predictMany as Many } from "./predict/many.js";

/** A function like the one that `load` resolves to; its first call loads it. */
function later<F extends (...args: never[]) => Promise<unknown>>(load: () => Promise<F>): F {
  return (async (...args: Parameters<F>) => (await load())(...args)) as unknown as F;
}

export const generateSynthetic = later(async () => (await import("./data/synthetic.js")).generateSynthetic);
export const readImage = later(async () => (await import("./data/readImage.js")).readImage);
export const writeLabels = later(async () => (await import("./data/write.js")).writeLabels);
export const openCellTableWriter = later(async () => (await import("./data/writers/cellTable.js")).openCellTableWriter);
export const openCocoWriter = later(async () => (await import("./data/writers/coco.js")).openCocoWriter);
export const writeGeojson = later(async () => (await import("./data/writers/geojson.js")).writeGeojson);
export const writeRoiZip = later(async () => (await import("./data/writers/imagejRoi.js")).writeRoiZip);
export const assemblePrediction = later(async () => (await import("./engine/inference.js")).assemblePrediction);
export const sweepThresholds = later(async () => (await import("./engine/inference.js")).sweepThresholds);
export const writeExperimentReport = later(async () => (await import("./report/experimentReport.js")).writeExperimentReport);
export const writeOutlines = later(async () => (await import("./report/overlay.js")).writeOutlines);
export const writeOverlay = later(async () => (await import("./report/overlay.js")).writeOverlay);
export const writeSearchReport = later(async () => (await import("./report/searchReport.js")).writeSearchReport);
export const evaluateFolders = later(async () => (await import("./evaluation/folders.js")).evaluateFolders);
export const evaluateShard = later(async () => (await import("./evaluation/shards.js")).evaluateShard);
export const mergeEvaluation = later(async () => (await import("./evaluation/shards.js")).mergeEvaluation);
export const evaluateWeights = later(async () => (await import("./evaluation/folders.js")).evaluateWeights);
export const finetune = later(async () => (await import("./python/finetune.js")).finetune);
export const planExperiment = later(async () => (await import("./plan/experiment.js")).planExperiment);
export const mergePredictions = later(async () => (await import("./predict/shardedFolder.js")).mergePredictions);
export const predictFolder = later(async () => (await import("./predict/folder.js")).predictFolder);
export const predictMany: typeof Many = async function* (...args) {
  yield* (await import("./predict/many.js")).predictMany(...args);
};
export const openPredictor = later(async () => (await import("./predict/predictor.js")).openPredictor);
export const openSession = later(async () => (await import("./engine/session.js")).openSession);
export const compareExperiments = later(async () => (await import("./stats/experiments.js")).compareExperiments);
export const openStoreWriter = later(async () => (await import("./engine/storeWriter.js")).openStoreWriter);
