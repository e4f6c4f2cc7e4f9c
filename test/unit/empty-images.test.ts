import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import { fullDataset, kFolds, leaveOneGroupOut, trainValSplit } from "../../lib/data/draw.js";
import type { Splits } from "../../lib/data/split.js";
import { writeLabels, writeRgbPng } from "../../lib/data/write.js";
import { planExperiment } from "../../lib/plan/experiment.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import { FakeEngine } from "./runner-fake.js";

const seeds = Array.from({ length: 60 }, (_, seed) => seed);
const names = (count: number) => Array.from({ length: count }, (_, i) => `image_${String(i).padStart(2, "0")}`);

/** Every side that something stands on holds one of the images with cells. */
function expectCells({ train, val }: Splits, filled: readonly string[]): void {
  for (const side of [train, val]) if (side.length > 0) expect(side.some((name) => filled.includes(name))).toBe(true);
}

describe("images without cells", () => {
  test("leave no side of a split without a cell, with any seed, while two images have cells", () => {
    const sources = names(10);
    const filled = ["image_02", "image_07"];
    const empty = sources.filter((name) => !filled.includes(name));
    for (const seed of seeds) {
      const split = trainValSplit({ sources, seed, valRatio: 0.3, empty });
      expectCells(split, filled);
      expect(split.val).toHaveLength(3);
      expect([...split.train, ...split.val].sort()).toEqual(sources);
      expect(trainValSplit({ sources: sources.toReversed(), seed, valRatio: 0.3, empty })).toEqual(split);
      for (const fold of kFolds({ sources, seed, k: 2, empty })) expectCells(fold, filled);
      const held = trainValSplit({ sources, seed, valRatio: 0.3, testRatio: 0.3, empty });
      expectCells(held, filled);
      expect(held.test).toHaveLength(3);
      expectCells(fullDataset({ sources, seed, testRatio: 0.8, empty }), filled);
    }
  });

  test("do not change a split in which both sides have cells anyway", () => {
    const sources = names(12);
    for (const seed of seeds) {
      const before = trainValSplit({ sources, seed, valRatio: 0.3 });
      const empty = [before.train[0] as string, before.val[0] as string];
      expect(trainValSplit({ sources, seed, valRatio: 0.3, empty })).toEqual(before);
      expect(kFolds({ sources, seed, k: 3, empty })).toEqual(kFolds({ sources, seed, k: 3 }));
    }
  });

  test("are spread in proportion where chance alone would not do", () => {
    // 4 of 40 images have cells: 30 % of both kinds validate, which is 1.2 and 10.8.
    const sources = names(40);
    const filled = sources.slice(0, 4);
    let again = 0;
    for (const seed of seeds) {
      const options = { sources, seed, valRatio: 0.3, empty: sources.slice(4) };
      const split = trainValSplit(options);
      expectCells(split, filled);
      expect(split.val).toHaveLength(12);
      const chance = trainValSplit({ ...options, empty: [] });
      if (chance.val.some((name) => filled.includes(name))) continue;
      again += 1;
      expect(split.val.filter((name) => filled.includes(name))).toHaveLength(1);
    }
    expect(again).toBeGreaterThan(3); // C(36,12) / C(40,12) = 22 % of the seeds
  });

  test("keep groups whole", () => {
    const sources = names(12);
    const groups = Object.fromEntries(sources.map((name, i) => [name, `slide ${i % 6}`]));
    const filled = ["image_01", "image_04"]; // slides 1 and 4
    const empty = sources.filter((name) => !filled.includes(name));
    for (const seed of seeds) {
      for (const split of [
        trainValSplit({ sources, seed, valRatio: 0.3, groups, empty }),
        ...kFolds({ sources, seed, k: 2, groups, empty }),
      ]) {
        expectCells(split, filled);
        const slides = (side: string[]) => new Set(side.map((name) => groups[name]));
        expect([...slides(split.val)].filter((slide) => slides(split.train).has(slide))).toEqual([]);
      }
    }
  });

  test("may fill the training side where images of additional_datasets train with cells", () => {
    const sources = names(6);
    const empty = sources.slice(1);
    for (const seed of seeds)
      expect(trainValSplit({ sources, seed, valRatio: 0.3, empty, cellsTrainAnyway: true }).val).toContain("image_00");
  });

  const one = { sources: names(6), empty: names(6).slice(1), seed: 1 };
  test.each([
    [
      "train_val_split",
      () => trainValSplit({ ...one, valRatio: 0.3 }),
      /at least 2 images with cells.*there is 1 \(image_00\)/,
    ],
    ["k_fold", () => kFolds({ ...one, k: 3 }), /k_folds 3 needs at least 3 images with cells.*there is 1 \(image_00\)/],
    [
      "k_fold of more",
      () => kFolds({ ...one, k: 3, empty: names(6).slice(2) }),
      /there are 2 \(image_00, image_01\): set k_folds to 2/,
    ],
    [
      "groups",
      () =>
        trainValSplit({
          ...one,
          valRatio: 0.3,
          empty: names(6).slice(2),
          groups: Object.fromEntries(names(6).map((n, i) => [n, i < 2 ? "a" : "b"])),
        }),
      /at least 2 groups with cells.*there is 1 \(a\)/,
    ],
    [
      "leave_one_group_out",
      () =>
        leaveOneGroupOut({
          ...one,
          empty: names(6).slice(2),
          groups: Object.fromEntries(names(6).map((n, i) => [n, "abc"[i % 3] as string])),
        }),
      /groups without a cell cannot validate: c;/,
    ],
  ] as [string, () => unknown, RegExp][])(
    "too few with cells: %s says so, and advises no other seed",
    (_what, draw, message) => {
      expect(draw).toThrow(message);
      expect(draw).not.toThrow(/seed/i);
    },
  );
});

describe("a plan refuses what a training refuses", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "cellsam-empty-"));
    // Eight images of which the last two have cells.
    for (const [i, name] of names(8).entries()) {
      const labels = new Int32Array(64 * 64);
      if (i > 5) for (let y = 10; y < 30; y++) labels.fill(1, y * 64 + 10, y * 64 + 30);
      const pixels = Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * (i + 3) * 7919) % 251);
      await writeRgbPng(join(root, "images", `${name}.png`), pixels, 64, 64);
      await writeLabels(join(root, "masks", `${name}.png`), { data: labels, shape: [64, 64] });
    }
    await writeFile(join(root, "notes.txt"), "no weights");
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const both = async (more: Partial<ExperimentInput>) => {
    const engine = new FakeEngine();
    const config: ExperimentInput = {
      imgPath: join(root, "images"),
      maskPath: join(root, "masks"),
      outputDir: join(root, "out"),
      outputName: "run",
      size: "tiny",
      device: "cpu",
      tileSize: 64,
      stages: [1],
      stage1Config: { totalEpochs: 1 },
      saveVisualizations: false,
      findDuplicates: false,
      strategy: "train_val_split",
      ...more,
    };
    const failure = (error: Error & { code?: string }) => ({ code: error.code, message: error.message });
    const planned = await planExperiment(config).then((plan) => plan, failure);
    const { openSession, openStoreWriter } = engine;
    const trained = await new ExperimentRunner(config, { openSession, openStoreWriter }).run().then(() => null, failure);
    await rm(join(root, "out"), { recursive: true, force: true });
    return { planned, trained };
  };

  test("for splits, in the same words", async () => {
    const { planned, trained } = await both({ strategy: "k_fold", kFolds: 3 });
    expect(planned).toMatchObject({ code: "ERR_SPLIT", message: expect.stringContaining("there are 2") });
    expect(trained).toEqual(planned);
    const splits = join(root, "splits.json");
    await writeFile(splits, JSON.stringify({ seed: 0, train: names(8).slice(0, 5), val: names(8).slice(5) }));
    const file = await both({ splits });
    expect(file.planned).toMatchObject({
      code: "ERR_SPLIT",
      message: expect.stringContaining("train has no image with cells"),
    });
    expect(file.trained).toEqual(file.planned);
  });

  test("for weights that are not there, and for outputs that are in the way", async () => {
    const { planned, trained } = await both({ weights: join(root, "none.pth") });
    expect(planned).toMatchObject({ code: "ERR_CONFIG", message: expect.stringContaining("none.pth cannot be read") });
    expect(trained).toEqual(planned);
    const output = await both({ outputDir: join(root, "notes.txt") });
    expect(output.trained).toMatchObject({ code: "ERR_CONFIG" });
    expect(output.planned).toMatchObject({
      warnings: expect.arrayContaining([expect.stringContaining(output.trained?.message ?? "-")]),
    });
  });

  test("and both take two images with cells, whatever the seed", async () => {
    for (const splitSeed of [0, 1, 2, 3]) {
      const { planned, trained } = await both({ splitSeed, strategy: "k_fold", kFolds: 2 });
      expect(trained).toBeNull();
      for (const { train, val } of (planned as { splits: Record<"train" | "val", { cells: number }>[] }).splits)
        expect([train.cells, val.cells]).toEqual([1, 1]);
    }
  });
});
