import { readdir, readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { describe, expect, it, test, vi } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import { Stage1Config } from "../../lib/config/stage1.js";
import { Stage2Config } from "../../lib/config/stage2.js";
import { fullestCrop } from "../../lib/data/crop.js";
import { CellsamError } from "../../lib/errors.js";
import { FakeEngine } from "./runner-fake.js";
import { runner, syntheticRuns } from "./runner-runs.js";

// The real evaluation counts in the engine, which these tests do without.
vi.mock("../../lib/evaluation/pairs.js", () => ({
  evaluatePair: async (truth: { shape: number[] }) => ({ f1: truth.shape[0] }),
  summarize: (pairs: unknown[]) => ({ images: pairs.length, counts: { truth: 0, predicted: 0 }, f1: 0.5 }),
}));
vi.mock("../../lib/engine/inference.js", () => ({
  assemblePrediction: async () => ({ labels: { data: new Int32Array(80 * 80), shape: [80, 80] }, scores: new Float64Array() }),
  sweepThresholds: async () => ({ images: 1 }),
}));
vi.mock("../../lib/evaluation/thresholds.js", () => ({
  optimizeThresholds: () => ({ best: {}, searched: 0 }),
  metricsAt: () => [],
}));

const { newOutput, settings } = syntheticRuns(5, 80);

/** Two of five images validate; tiles are smaller than the images. */
function input(more: Partial<ExperimentInput> = {}): ExperimentInput {
  const stage = { totalEpochs: 4, patience: 10 };
  const split = { strategy: "train_val_split", valRatio: 0.4, tileSize: 64, tensorboard: false } as const;
  return settings(newOutput(), { ...split, debug: true, stage1Config: stage, stage2Config: stage, ...more });
}

/** The pictures of epochs, by their path below visualizations/. */
async function pictures({ outputDir }: ExperimentInput): Promise<Record<string, string>> {
  const root = join(outputDir as string, "run/results/fold_1/visualizations");
  const names = (await readdir(root, { recursive: true }))
    .filter((name) => /epoch_.*png$/.test(name))
    .map((name) => name.split(sep).join("/"))
    .sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(root, name), "base64")])));
}

async function drawn(more: Partial<ExperimentInput> = {}): Promise<string[]> {
  const config = input(more);
  await runner(new FakeEngine(), config).run();
  return Object.keys(await pictures(config));
}

const both = (batches: number[], { first = [1, 2, 3, 4], second = [2, 4], phase = "val" } = {}) => [
  ...first.flatMap((epoch) => batches.map((batch) => `${phase}/stage1_boxes/epoch_${epoch}_batch_${batch}.png`)),
  ...second.flatMap((epoch) => batches.map((batch) => `${phase}/stage2_masks/epoch_${epoch}_batch_${batch}_img_0.png`)),
];

describe("pictures of epochs", () => {
  it("D61: are drawn with debug only, at the stages' own frequencies, one of each validation image", async () => {
    expect(await drawn()).toEqual(both([0, 1]));
    expect(await drawn({ debug: false })).toEqual([]);
  });

  it("D61: keep to the cap, the frequency and the flags", async () => {
    const stage = { totalEpochs: 4, patience: 10, visualizationFrequency: 3, maxVisualizationsPerEpoch: 1 };
    expect(await drawn({ stage1Config: stage, stage2Config: stage })).toEqual(both([0], { first: [3], second: [3] }));
    const none = { ...stage, maxVisualizationsPerEpoch: 0 };
    expect(await drawn({ stage1Config: none, stage2Config: { ...stage, visualizeMasks: false } })).toEqual([]);
    expect(await drawn({ stage1Config: { ...stage, visualizePredictions: false }, stage2Config: none })).toEqual([]);
  });

  it("D61: are not drawn with saveVisualizations: false, and cost no prediction then", async () => {
    const config = input({ saveVisualizations: false });
    const engine = new FakeEngine();
    await runner(engine, config).run();
    expect(await readdir(join(config.outputDir as string, "run/results"))).not.toContain("fold_1");
    expect(engine.calls.filter((call) => call === "predict")).toEqual([]);
  });

  it("show training images where nothing validates, at most four", async () => {
    expect(await drawn({ strategy: "full_dataset", valRatio: undefined })).toEqual(both([0, 1, 2, 3], { phase: "train" }));
  });

  it("that fail are warnings, those of the best and the worst image too, and the run goes on", async () => {
    const engine = new FakeEngine();
    const record = engine.record.bind(engine);
    engine.record = (name) => {
      if (name === "predict") throw new CellsamError("ERR_OUT_OF_MEMORY", "no memory");
      record(name);
    };
    const run = runner(engine, input({ stages: [2], stage2Config: { totalEpochs: 2 } }));
    const warnings: string[] = [];
    const events = (async () => {
      for await (const event of run.events()) if (event.type === "notice") warnings.push(event.message);
    })();
    const [result] = await run.run();
    await events;
    expect(result?.error).toBeNull();
    expect(
      warnings.filter((message) => /^stage 2, epoch 2: synthetic_\d+ was not drawn: no memory$/.test(message)),
    ).toHaveLength(2);
    expect(warnings.filter((message) => /^(best|worst)_1_synthetic_\d+.png was not drawn/.test(message))).toHaveLength(2);
  });

  it.each([
    ["candidates", 3],
    ["predict", 1],
  ] as const)("of a run that is stopped while it draws (%s number %i) and resumed are the same", async (command, number) => {
    const config = input();
    await runner(new FakeEngine(), config).run();
    const whole = await pictures(config);
    const again = input();
    const engine = new FakeEngine();
    const controller = new AbortController();
    const record = engine.record.bind(engine);
    engine.record = (name) => {
      record(name);
      if (name === command && engine.calls.filter((call) => call === command).length === number)
        controller.abort(new Error("enough"));
    };
    await expect(runner(engine, again, { signal: controller.signal }).run()).rejects.toThrow("enough");
    expect(Object.keys(await pictures(again)).length).toBeLessThan(Object.keys(whole).length);
    const rest = new FakeEngine();
    await runner(rest, again, { resume: true }).run();
    expect(await pictures(again)).toEqual(whole);
    // No step is trained twice: the stopped epoch goes on behind its last batch.
    expect(rest.calls.filter((call) => call.startsWith("train"))[0]).toMatch(/^train [12]\.\d from 6$/);
  });
});

test("D61: shouldVisualize is the flag and an epoch that the frequency divides", () => {
  const epochs = (config: { shouldVisualize: (epoch: number) => boolean }) =>
    [1, 2, 3, 4, 5, 6].filter((epoch) => config.shouldVisualize(epoch));
  expect(epochs(new Stage1Config())).toEqual([1, 2, 3, 4, 5, 6]);
  expect(epochs(new Stage2Config())).toEqual([2, 4, 6]);
  expect(epochs(new Stage1Config({ visualizationFrequency: 3 }))).toEqual([3, 6]);
  expect(epochs(new Stage1Config({ visualizePredictions: false }))).toEqual([]);
  expect(epochs(new Stage2Config({ visualizeMasks: false, visualizationFrequency: 1 }))).toEqual([]);
  expect(new Stage2Config()).toMatchObject({ visualizeMasks: true, visualizationFrequency: 2, maxVisualizationsPerEpoch: 4 });
  expect(() => new Stage1Config({ visualizationFrequency: 0 })).toThrow(/visualizationFrequency: must be an integer >= 1/);
  expect(() => new Stage2Config({ maxVisualizationsPerEpoch: -1 })).toThrow(
    /maxVisualizationsPerEpoch: must be an integer >= 0/,
  );
});

describe("the part that is drawn", () => {
  /** 5 x 7 pixels in three channels that tell their place, a cell of 2 x 2 in the corner, ignored pixels and a single one elsewhere. */
  const labels = new Int32Array(35);
  for (const i of [26, 27, 33, 34]) labels[i] = 9;
  labels[0] = 4;
  labels.fill(-1, 1, 5);
  const map = { data: labels, shape: [5, 7] as [number, number], count: 2, notes: [] };
  const image = {
    data: Uint16Array.from({ length: 105 }, (_, i) => i),
    dtype: "uint16" as const,
    shape: [5, 7, 3] as never,
    notes: [],
  };

  it("is the tile with the most cell pixels, cut alike from image and labels", () => {
    const crop = fullestCrop(image, map, 3);
    expect([crop.image.shape, crop.labels.shape, crop.labels.count]).toEqual([[3, 3, 3], [3, 3], 1]);
    expect([...crop.labels.data]).toEqual([0, 0, 0, 0, 9, 9, 0, 9, 9]);
    // Rows 2..4 and columns 4..6.
    const expected = [2, 3, 4].flatMap((y) => [4, 5, 6].flatMap((x) => [0, 1, 2].map((c) => (y * 7 + x) * 3 + c)));
    expect([...crop.image.data]).toEqual(expected);
    expect(crop.image.data).toBeInstanceOf(Uint16Array);
  });

  it("is the whole image where that is smaller", () => {
    const crop = fullestCrop(image, map, 64);
    expect([...crop.image.data]).toEqual([...image.data]);
    expect(crop.labels).toEqual(map);
  });
});
