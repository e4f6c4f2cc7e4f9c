// Kept features in whole experiments over the real engine: folds and later runs find what the first one left, results do not
// change, and a plan tells how much it will be.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExperimentConfig, type ExperimentInput } from "../../lib/config/experiment.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import type { EpochEvent } from "../../lib/events.js";
import { planExperiment } from "../../lib/plan/experiment.js";
import { featureBytes } from "../../lib/plan/features.js";
import { toSnake } from "../../lib/spelling.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import { isPretend, longTest, testDevice } from "../device.js";
import { smallNetwork } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-features-run-"));
// A pretend GPU would take a minute with the network that the plans are of.
const network: Partial<ExperimentInput> = isPretend
  ? { sizeOverrides: toSnake(smallNetwork) as Record<string, number>, tileSize: 64 }
  : {};
let base: ExperimentInput;
beforeAll(async () => {
  const size = isPretend ? 64 : 128; // one tile each
  const { imgPath, maskPath } = await generateSynthetic({ directory: join(folder, "data"), images: 6, size, seed: 3 });
  const stage = { totalEpochs: 2, learningRate: 1e-3 };
  base = {
    ...{ imgPath, maskPath, outputName: "first", outputDir: join(folder, "out") },
    ...{ size: "tiny", device: testDevice, threads: 1, tileSize: 128, normalize: false, batchSize: 2 },
    ...{ strategy: "k_fold", kFolds: 2, tensorboard: false, saveVisualizations: false, saveCheckpoints: false },
    stage1Config: { ...stage, stage1Type: "head_only" },
    stage2Config: { ...stage, maxPrompts: 4 },
  } as ExperimentInput;
});
afterAll(() => rmSync(folder, { recursive: true }));

async function run(more: Partial<ExperimentInput>) {
  const runner = new ExperimentRunner({ ...base, ...more } as ExperimentInput);
  const epochs: EpochEvent[] = [];
  const notices: string[] = [];
  for await (const event of runner.events()) {
    if (event.type === "epoch") epochs.push(event);
    if (event.type === "notice") notices.push(event.message);
  }
  const losses = epochs.map(({ train, validation }) => ({ train, validation }));
  return { losses, notices, counts: epochs.map(({ features: { kept, computed } }) => [kept, computed]) };
}

longTest("folds, stages, later runs and the plan agree", async () => {
  const cache = join(folder, "out", ".features");
  const plan = await planExperiment(base);
  const exact = await planExperiment({ ...base, precision: isPretend ? "bf16" : "fp32" });
  expect(plan.tiles.count).toBe(6);
  const first = await run(network);
  const [new_, kept] = [
    [0, 6],
    [6, 0],
  ];
  // Two folds of two stages of two epochs; every epoch sees each tile once, in training or in validation.
  expect(first.counts).toEqual([new_, kept, new_, kept, kept, kept, kept, kept]);
  const bytes = readdirSync(cache).reduce((sum, name) => sum + statSync(join(cache, name)).size, 0);
  expect(plan.disk.featureBytes).toBe(2 * 6 * 16 * 16 * 96 * 4); // in fp32, since nobody has said what is used
  expect(exact.disk.featureBytes).toBe(2 * 6 * 16 * 16 * 96 * (isPretend ? 2 : 4));
  const made = isPretend ? 2 * 6 * 8 * 8 * smallNetwork.embedDim * 2 : (exact.disk.featureBytes as number);
  expect(bytes - made).toBe(2 * 4096); // an index block in each file

  const second = await run({ ...network, outputName: "second" });
  expect(second.counts).toEqual(Array(8).fill(kept));
  const without = await run({ ...network, outputName: "without", outputDir: join(folder, "other"), featureCache: false });
  expect(without.counts).toEqual(Array(8).fill(new_));
  expect(existsSync(join(folder, "other", ".features"))).toBe(false);
  expect(second.losses).toEqual(first.losses);
  expect(without.losses).toEqual(first.losses);
});

longTest("a pool of augmented tiles says so", async () => {
  const pool = { ...network, augmentation: true, complexAugmentation: true, augmentationVariants: 3 };
  const one = { strategy: "train_val_split" as const, stages: [2 as const] };
  const { notices } = await run({ ...pool, ...one, outputName: "pool" });
  expect(notices.filter((message) => message.includes("3 versions of each tile"))).toHaveLength(1);
  const { notices: endless } = await run({ ...pool, ...one, augmentationVariants: 0, outputName: "endless" });
  expect(endless.join()).not.toContain("versions of each tile");
});

test("forecasts follow what is frozen, how tiles are shown and what is allowed", () => {
  const of = (more: object, folds = 1) => {
    const config = new ExperimentConfig({ ...base, ...more } as ExperimentInput);
    return featureBytes(config, { precision: config.precision, tiles: 10, folds });
  };
  const one = 10 * 16 * 16 * 96 * 4; // one backbone, one version of each tile, in fp32
  const open = { trainNeckOnly: false, freezeImageEncoder: false };
  const frozen = (stage1Type: string) => ({ stage1Config: { stage1Type, freezeBackbone: true } });
  expect(of({})).toBe(2 * one);
  expect(of({ stage2Config: open })).toBe(one);
  expect(of({ stages: [1], stage1Config: {} })).toBe(0);
  expect(of(frozen("image_encoder"))).toBe(one);
  expect(of(frozen("all_backbones"))).toBe(2 * one);
  expect(of({ stage1Config: { transferWeights: true } }, 5)).toBe(5 * one);
  expect(of({ stage1Config: { stage1Type: "image_encoder" } }, 5)).toBe(5 * one);
  expect(of({ precision: "bf16" })).toBe(one);
  expect(of({ augmentation: true })).toBe(8 * 2 * one);
  expect(of({ augmentation: true, complexAugmentation: true })).toBe(2 * one);
  expect(of({ augmentation: true, complexAugmentation: true, augmentationVariants: 4 })).toBe(5 * 2 * one);
  expect(of({ featureCacheGb: 1e-6 })).toBe(1000);
  expect(of({ featureCache: false })).toBe(0);
  expect(of({ sizeOverrides: { embed_dim: 64 } })).toBeNull();
  expect(of({ size: "vit_b", stages: [2] })).toBe(10 * 64 * 64 * 768 * 4);
});
