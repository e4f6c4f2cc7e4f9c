/**
 * Every code example of the Python module's README, translated one to one. Only what makes them small is added: a few tiny images,
 * the tiny network, and one or two epochs in place of hundreds.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage } from "../../lib/data/decode.js";
import { writeRgbPng } from "../../lib/data/write.js";
import {
  ExperimentConfig,
  type ExperimentInput,
  ExperimentRunner,
  finetune,
  GPUMonitor,
  generateSynthetic,
  HyperparameterOptimizer,
  HyperparameterSpace,
  MetricsTracker,
  Stage1Config,
  Stage2Config,
} from "../../lib/index.js";

let folder: string;
let imgPath: string;
let maskPath: string;
/** The same images in colour, for stains. */
let rgbPath: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-readme-"));
  ({ imgPath, maskPath } = await generateSynthetic({ directory: join(folder, "data"), images: 5, size: 64, seed: 8 }));
  rgbPath = join(folder, "rgb");
  for (const name of await readdir(imgPath)) {
    const { data, shape } = await decodeImage(join(imgPath, name));
    const rgb = Uint8Array.from(
      { length: data.length * 3 },
      (_, i) => 255 - (data[Math.floor(i / 3)] ?? 0) * [0.9, 0.6, 0.3][i % 3]!,
    );
    await writeRgbPng(join(rgbPath, name), rgb, shape[0], shape[1]);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What makes an example small. */
const tiny = () => ({
  size: "tiny" as const,
  sizeOverrides: { image_size: 64, depth: 2, num_queries: 16 },
  device: "cpu",
  threads: 1,
  tileSize: 64,
  findDuplicates: false,
  outputDir: join(folder, "output"),
});
const epochs = (totalEpochs: number) => ({ totalEpochs });
const config = (outputName: string, more: Partial<ExperimentInput> = {}) =>
  new ExperimentConfig({
    imgPath,
    maskPath,
    outputName,
    stage1Config: epochs(1),
    stage2Config: epochs(1),
    ...tiny(),
    ...more,
  });
const readJson = async (...path: string[]) => JSON.parse(await readFile(join(folder, "output", ...path), "utf8"));

/** Every file of a tree: strict JSON parses, and nothing is empty. */
async function expectStrictJson(name: string): Promise<string[]> {
  const root = join(folder, "output", name);
  const files = (await readdir(root, { recursive: true })).map(String);
  for (const file of files.filter((path) => path.endsWith(".json"))) JSON.parse(await readFile(join(root, file), "utf8"));
  return files;
}

test("D1: all 15 names of the Python module can be imported", async () => {
  const cellsam: Record<string, unknown> = await import("../../lib/index.js");
  const names = [
    ...["finetune", "ExperimentRunner", "ExperimentConfig", "Stage1Config", "Stage2Config"],
    ...["HyperparameterOptimizer", "HyperparameterSpace", "GPUMonitor", "MetricsTracker", "TrainingVisualizer"],
    ...["CheckpointManager", "EarlyStopping", "KFoldStrategy", "TrainValSplitStrategy", "FullDatasetStrategy"],
  ];
  expect(names).toHaveLength(15);
  for (const name of names) expect(cellsam[name], name).toBeTypeOf("function");
});

describe("Quick Start", () => {
  test("D10, D12: Basic Usage, k_fold_training runs five folds of whole images and writes the tree", async () => {
    const results = await finetune(imgPath, maskPath, "my_experiment", {
      total_epochs_s1: 1,
      total_epochs_s2: 1,
      k_fold_training: true,
      ...tiny(),
    });
    expect(results.map(({ fold }) => fold)).toEqual([1, 2, 3, 4, 5]);
    const files = await expectStrictJson("my_experiment");
    const tree = ["experiment_config.json", "logs/experiment.log", "results/individual_results.json"];
    const folds = [1, 2, 3, 4, 5].flatMap((fold) => [
      `models/fold_${fold}/best_model_s1.pth`,
      `models/fold_${fold}/best_model_s2.pth`,
      `results/fold_${fold}/visualizations`,
    ]);
    for (const file of [...tree, "results/aggregated_results.json", ...folds]) expect(files).toContain(file);
    expect(files.filter((file) => /metrics\/.*stage[12]_metrics\.json$/.test(file)).length).toBeGreaterThanOrEqual(2);
    // Every image validates exactly once.
    const splits = (await readJson("my_experiment", "splits.json")) as { train: string[]; val: string[] }[];
    for (const { train, val } of splits) expect(new Set([...train, ...val]).size).toBe(5);
    expect(splits.flatMap(({ val }) => val).sort()).toEqual([0, 1, 2, 3, 4].map((i) => `synthetic_00${i}`));
  });

  test("D2, D67: Advanced Usage with custom configuration", async () => {
    const stage1Config = new Stage1Config({
      stage1Type: "all_backbones", // Train both CellFinder and image encoder
      totalEpochs: 1,
      learningRate: 1e-4,
      ceLossWeight: 2,
      bboxLossWeight: 10,
      giouLossWeight: 5,
    });
    const stage2Config = new Stage2Config({
      totalEpochs: 1,
      learningRate: 5e-5,
      focalLossWeight: 2.0,
      diceLossWeight: 1.5,
      boundaryLossWeight: 0.5,
      onlineHardNegativeMining: true, // Focus on hard examples
    });
    const advanced = new ExperimentConfig({
      imgPath: rgbPath,
      maskPath,
      outputName: "advanced_experiment",
      strategy: "k_fold",
      kFolds: 5,
      stage1Config,
      stage2Config,
      batchSize: 2,
      debug: true,
      augmentation: true,
      stainTransform: true,
      gamma: 2.4,
      ...tiny(),
    });
    const runner = new ExperimentRunner(advanced);
    const results = await runner.run();
    expect(results).toHaveLength(5);
    expect(await readJson("advanced_experiment", "experiment_config.json")).toMatchObject({
      gamma: 2.4,
      stain_transform: true,
      augmentation: true,
      batch_size: 2,
      stage1_config: { stage1_type: "all_backbones", bbox_loss_weight: 10 },
      stage2_config: { online_hard_negative_mining: true, boundary_loss_weight: 0.5 },
    });
  });
});

describe("Training Strategies", () => {
  test.each([
    ["k_fold", { kFolds: 2 }, 2],
    ["train_val_split", {}, 1],
    ["full_dataset", {}, 1],
  ] as const)("D13, D28: %s trains, and only held-out images validate", async (strategy, more, trainings) => {
    const results = await new ExperimentRunner(config(`strategy_${strategy}`, { strategy, ...more })).run();
    expect(results).toHaveLength(trainings);
    expect(results[0]?.valImages).toBe({ k_fold: 3, train_val_split: 2, full_dataset: 0 }[strategy]);
  });
});

describe("Configuration Options", () => {
  test("Stage 1 and stage 2: each name of the README, with its own default", () => {
    const stage1 = {
      stage1Type: "cellfinder", // "cellfinder", "image_encoder", "all_backbones"
      totalEpochs: 500,
      learningRate: 1e-4,
      patience: 15, // Early stopping patience
      ceLossWeight: 1, // Classification loss weight
      bboxLossWeight: 5, // Bounding box loss weight
      giouLossWeight: 2, // GIoU loss weight
    } as const;
    const stage2 = {
      totalEpochs: 500,
      learningRate: 1e-4,
      patience: 15,
      focalLossWeight: 1.0, // Focal loss weight
      focalGamma: 2.0, // Focal loss gamma parameter
      diceLossWeight: 1.0, // Dice loss weight
      boundaryLossWeight: 1.0, // Boundary loss weight
      onlineHardNegativeMining: false, // Enable OHEM
      onlineHardNegativeMiningWeighted: false, // Enable weighted OHEM
    };
    expect(new Stage1Config(stage1)).toEqual({ ...new Stage1Config() });
    expect(new Stage2Config(stage2)).toEqual({ ...new Stage2Config() });
  });
});

describe("Hyperparameter Optimization", () => {
  const paramSpace = () =>
    new HyperparameterSpace({
      stage1LearningRates: [1e-4, 1e-5],
      stage2LearningRates: [1e-4, 5e-5],
      focalGammas: [2.0, 3.0],
      gammas: [2.1, 2.4],
      augmentationFlags: [false, true],
    });

  test("Random Search, two trials at a time", async () => {
    const baseConfig = config("base", { imgPath: rgbPath, strategy: "train_val_split", stainTransform: true });
    const optimizer = new HyperparameterOptimizer({
      baseConfig,
      paramSpace: paramSpace(),
      outputDir: join(folder, "output/hp_search"),
      maxParallel: 2,
    });
    const results = await optimizer.runRandomSearch({ nTrials: 2 });
    expect(results.n_trials).toBe(2);
    expect(results.all_trials.map(({ success }) => success)).toEqual([true, true]);
  });

  test("D20: Grid Search tests all combinations: 32 in the README's example", async () => {
    const baseConfig = config("grid", { imgPath: rgbPath, strategy: "train_val_split", stainTransform: true });
    const outputDir = join(folder, "output/grid_search");
    const whole = new HyperparameterOptimizer({ baseConfig, paramSpace: paramSpace(), outputDir });
    expect(whole.generateGridSearchConfigs()).toHaveLength(32);
    const small = new HyperparameterSpace({ focalGammas: [2.0, 3.0] });
    const results = await new HyperparameterOptimizer({ baseConfig, paramSpace: small, outputDir }).runGridSearch();
    expect(results.n_trials).toBe(2);
  });
});

describe("Monitoring and Visualization", () => {
  test("GPU Memory Monitoring", () => {
    const monitor = new GPUMonitor();
    const lines = monitor.printMemorySummary("Training Start");
    expect(lines.join("\n")).toContain("[Training Start] System - Used: ");
  });

  test("Metrics Tracking", async () => {
    const tracker = new MetricsTracker({ saveDir: join(folder, "output/metrics") });
    tracker.update({ loss: 0.5, f1: 0.8 }, { epoch: 1 });
    await tracker.saveMetrics();
    expect(JSON.stringify(await readJson("metrics/metrics.json"))).toContain("0.8");
  });
});

describe("Best Practices", () => {
  test("Start with Quick Test: strategy decides, no five folds", async () => {
    const results = await finetune(imgPath, maskPath, "quick_test", {
      strategy: "train_val_split",
      total_epochs_s1: 1,
      total_epochs_s2: 1,
      debug: true,
      ...tiny(),
    });
    expect(results).toHaveLength(1);
  });

  test("Use Pre-evaluation, Enable Debug Mode: both on one configuration", async () => {
    const tips = config("tips", { strategy: "train_val_split", preeval: true });
    tips.debug = true;
    await new ExperimentRunner(tips).run();
    expect(existsSync(join(folder, "output/tips/results/preeval_results.json"))).toBe(true);
    expect(await readFile(join(folder, "output/tips/logs/experiment.log"), "utf8")).toContain(" - DEBUG - ");
  });
});

describe("Migration from Legacy Code", () => {
  test("both options give the same training", async () => {
    const name = "legacy";
    const keywords = { strategy: "train_val_split", total_epochs_s1: 1, total_epochs_s2: 1 };
    const [legacy] = await finetune(imgPath, maskPath, name, { ...keywords, ...tiny() });
    const equivalent = new ExperimentConfig({
      imgPath,
      maskPath,
      outputName: "migrated",
      stage1Config: new Stage1Config({ totalEpochs: 1 }),
      stage2Config: new Stage2Config({ totalEpochs: 1 }),
      strategy: "train_val_split",
      ...tiny(),
    });
    const [migrated] = await new ExperimentRunner(equivalent).run();
    expect(migrated?.evaluation).toEqual(legacy?.evaluation);
  });
});
