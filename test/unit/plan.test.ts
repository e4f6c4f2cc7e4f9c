import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { initCommand } from "../../lib/cli/init.js";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { loadDataset } from "../../lib/data/dataset.js";
import { pairLabels } from "../../lib/data/pair.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { writeLabels, writeRgbPng } from "../../lib/data/write.js";
import { loadEngine } from "../../lib/engine/native.js";
import { openStoreWriter } from "../../lib/engine/storeWriter.js";
import { planExperiment } from "../../lib/plan/experiment.js";
import type { Plan } from "../../lib/plan/plan.js";
import type { StageProbe } from "../../lib/plan/probe.js";
import { forecastRanks } from "../../lib/plan/ranks.js";
import { planTiles, tileStarts } from "../../lib/plan/tiles.js";
import { forecast } from "../../lib/plan/time.js";
import { warningsOf } from "../../lib/plan/warnings.js";
import { fromSnake } from "../../lib/spelling.js";
import { tileStore } from "../../lib/train/tiles.js";
import { isPretend, longTest, testDevice } from "../device.js";

let folder: string;
let data: { imgPath: string; maskPath: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-plan-"));
  const { imgPath, maskPath } = await generateSynthetic({ directory: join(folder, "data"), images: 6, size: 160, seed: 3 });
  data = { imgPath, maskPath };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const settings = { size: "tiny", device: testDevice, threads: 1, tileSize: 96, minFragmentArea: 30, normalize: false } as const;
const config = (more: object = {}) => ({
  ...data,
  ...settings,
  outputName: "plan",
  outputDir: join(folder, "out"),
  strategy: "train_val_split" as const,
  ...more,
});

describe("tiles", () => {
  // Counted by hand: tiles of 512 that begin every 384 pixels, until the last one reaches the end.
  test.each([
    [512, 512, 1],
    [513, 513, 4],
    [600, 900, 6],
    [1024, 1024, 9],
    [300, 700, 2],
  ])("of %i x %i pixels are counted as they are cut", (height, width, count) => {
    const axis = (length: number) => tileStarts(length, { tileSize: 512, tileOverlap: 0.25 }).length;
    expect(axis(height) * axis(width)).toBe(count);
  });

  test("begin in the padding, of which the floor half comes first", () => {
    const starts = (length: number) => tileStarts(length, { tileSize: 512, tileOverlap: 0.25 });
    expect([starts(513), starts(299), starts(512)]).toEqual([[-191, 193], [-106], [0]]);
  });

  test("know which cells they cut, and drop what is too small a piece", () => {
    // Tiles of 4 at 0 and 4: cell 1 lies in the first, cell 2 on the border with 3 and 1 pixels.
    const labels = {
      data: Int32Array.from([1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 0, 0, -1]),
      shape: [2, 8] as const,
      count: 2,
      notes: [],
    };
    const plan = (minFragmentArea: number) => planTiles("a", labels as never, { tileSize: 4, tileOverlap: 0, minFragmentArea });
    // An id of two far regions is whole in no tile, of whatever size, and not counted.
    const twice = { ...labels, data: labels.data.map((id, i) => (i === 0 || i === 7 ? 9 : id === 2 ? 2 : 0)) };
    const settings = { tileSize: 4, tileOverlap: 0, minFragmentArea: 0 };
    expect(planTiles("a", twice as never, settings)).toMatchObject({ cells: 2, cut: 1 });
    expect(plan(0)).toMatchObject({ cells: 2, cut: 1, cellsPerTile: [2, 1] });
    expect(plan(2)).toMatchObject({ cut: 1, cellsPerTile: [2, 0] });
  });
});

/** A plan that there is nothing to warn of, but for what is given. */
function planWith(more: object): Plan {
  const spread = { min: 10, median: 10, max: 10 };
  return {
    images: { grey: 1, rgb: 0, types: {} },
    cells: { count: 9, diameter: spread, large: 0, cut: 0 },
    tiles: { size: 96, count: 9, perTile: spread, empty: 0 },
    splits: [],
    duplicates: { acrossSides: 0 },
    disk: { freeBytes: null },
    queries: null,
    probe: null,
    ...more,
  } as unknown as Plan;
}

describe("a plan", () => {
  test("tells tiles, cells and bytes exactly as the run will make them", async () => {
    loadEngine();
    const checked = new ExperimentConfig(config());
    const plan = await planExperiment(config());
    const { pairs } = await loadDataset(checked);
    const store = await tileStore(pairs, checked, { cacheDir: join(folder, "tiles"), key: "plan", openStoreWriter });
    expect(plan.tiles.count).toBe(store.sources.reduce((sum, { tiles }) => sum + tiles, 0));
    for (const [i, pair] of pairs.entries()) {
      // The store counts the cells of which some tile holds something.
      expect(planTiles(pair.source, await pairLabels(pair, checked), checked).cells).toBe(store.sources[i]?.instances);
    }
    expect(plan.cells.count).toBe(pairs.reduce((sum, { cells }) => sum + cells, 0));
    const { size } = await stat(store.path);
    // The settings that the store notes are all that is not counted.
    expect(size - plan.disk.storeBytes).toBeGreaterThanOrEqual(0);
    expect(size - plan.disk.storeBytes).toBeLessThan(1024);
    expect(plan.splits).toHaveLength(1);
    const { train, val } = plan.splits[0]!;
    expect([train.images + val.images, train.tiles + val.tiles, train.cells + val.cells]).toEqual([
      6,
      plan.tiles.count,
      plan.cells.count,
    ]);
    expect(plan).toMatchObject({ queries: 100, probe: null, time: null });
  });

  test("warns of more cells than boxes, of small cells and of mixed images", async () => {
    const own = join(folder, "dense");
    const labels = new Int32Array(96 * 96);
    for (let i = 0; i < 24; i++) for (let j = 0; j < 24; j++) labels[i * 4 * 96 + j * 4] = i * 24 + j + 1;
    for (const name of ["a", "b", "c"]) {
      const channels = name === "a" ? 1 : 3;
      if (channels === 3) await writeRgbPng(join(own, "i", `${name}.png`), new Uint8Array(96 * 96 * 3).fill(9), 96, 96);
      else await writeLabels(join(own, "i", `${name}.png`), { data: labels, shape: [96, 96] });
      await writeLabels(join(own, "m", `${name}.png`), { data: labels, shape: [96, 96] });
    }
    const plan = await planExperiment(config({ imgPath: join(own, "i"), maskPath: join(own, "m"), findDuplicates: false }));
    const warnings = plan.warnings.join("\n");
    expect(plan.tiles.perTile.max).toBe(576);
    expect(warnings).toContain("a tile holds 576 cells, but at most 100 can be found in one");
    expect(warnings).toContain("half of the cells measure less than 1.0 pixels");
    expect(warnings).toContain("1 images are grey and 2 are in colour, which reach the model in different channels");
    expect(warnings).toContain("fewer than 5 images validate");
  });

  test("finds images that show the same on both sides, and keeps them together when asked", async () => {
    const own = { imgPath: join(folder, "twice/i"), maskPath: join(folder, "twice/m") };
    for (const [from, to] of [
      [data.imgPath, own.imgPath],
      [data.maskPath, own.maskPath],
    ] as const)
      for (let i = 0; i < 3; i++)
        for (const copy of ["x", "y"])
          await cp(join(from, `synthetic_00${i}.png`), join(to, `${copy}${i}.png`), { recursive: true });
    const plan = await planExperiment(config({ ...own, strategy: "k_fold", kFolds: 3 }));
    expect(plan.duplicates.pairs.filter(({ kind }) => kind === "identical")).toHaveLength(3);
    expect(plan.duplicates.acrossSides).toBeGreaterThan(0);
    expect(plan.warnings.join()).toContain("group_duplicates");
    const together = await planExperiment(config({ ...own, strategy: "k_fold", kFolds: 3, groupDuplicates: true }));
    expect(together.duplicates.acrossSides).toBe(0);
  });

  test("refuses broken data with every problem at once", async () => {
    const own = join(folder, "broken");
    await mkdir(join(own, "i"), { recursive: true });
    await mkdir(join(own, "m"), { recursive: true });
    await writeFile(join(own, "i", "a.png"), "no picture");
    await writeFile(join(own, "i", "b.png"), "neither");
    for (const name of ["a.png", "b.png"]) await writeFile(join(own, "m", name), "no mask");
    await expect(planExperiment(config({ imgPath: join(own, "i"), maskPath: join(own, "m") }))).rejects.toMatchObject({
      code: "ERR_DATASET",
      message: expect.stringMatching(/a\.png[\s\S]*b\.png/),
    });
  });

  longTest("measures with a few real steps, and leaves nothing behind", async () => {
    const plan = await planExperiment(config({ stage1Config: { totalEpochs: 3 }, stage2Config: { totalEpochs: 2 } }), {
      probe: true,
    });
    const { probe, time } = plan;
    const suited = isPretend ? "bf16" : "fp32";
    expect(probe).toMatchObject({
      device: testDevice,
      precision: suited,
      suitedPrecision: suited,
      queries: 100,
      busy: process.platform === "win32" ? null : expect.any(Number),
    });
    const told = plan.warnings.some((text) => text.includes("other programs use more than half"));
    expect(told).toBe((probe?.busy ?? 0) > 0.5);
    for (const stage of [1, 2] as const) {
      expect(probe?.stages[stage]?.trainable).toBeGreaterThan(0);
      expect(probe?.stages[stage]?.secondsPerTile).toBeGreaterThan(0);
    }
    expect(probe?.processMb).toBeGreaterThan(50);
    expect(probe?.stages[1]?.kept).toBeNull(); // its backbone trains
    // Stage 2's are kept in the precision that was found: 16 x 16 tokens of 96 numbers.
    expect(plan.disk.featureBytes).toBe(plan.tiles.count * 16 * 16 * 96 * (isPretend ? 2 : 4));
    const { train, val } = plan.splits[0]!;
    const { secondsPerTile = 0, secondsPerValidationTile = 0 } = probe?.stages[2]?.kept ?? {};
    expect(secondsPerTile).toBeGreaterThan(0);
    const later = train.tiles * secondsPerTile + val.tiles * secondsPerValidationTile;
    const { 1: first = 0, 2: second = 0 } = time?.secondsPerEpoch ?? {};
    expect(time?.totalSeconds).toBeCloseTo(3 * first + second + later, 6);
    await expect(stat(join(folder, "out"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("warns of grey and colour images only where the settings show them in different channels", () => {
    const mixed = { images: { grey: 1, rgb: 2, types: {} } };
    const warned = (more: object) => {
      const warnings = warningsOf(new ExperimentConfig(config(more)), planWith(mixed));
      return warnings.some((text) => text.includes("different channels"));
    };
    expect([{}, { greyChannel: "blue" }, { greyChannel: "all", nuclearChannel: "red" }].map(warned)).toEqual([
      true,
      true,
      true,
    ]);
    expect(warned({ greyChannel: "all", stainTransform: true })).toBe(true);
    expect([{ greyChannel: "all" }, { rgbTransform: true }].map(warned)).toEqual([false, false]);
  });

  test("advises a larger tile for many large cells, not for a few", async () => {
    const spread = { min: 10, median: 10, max: 70 };
    const warned = (large: number) => {
      const cells = { count: 100, perImage: spread, diameter: spread, large, cut: 0 };
      return warningsOf(new ExperimentConfig(config()), planWith({ cells })).join();
    };
    expect(warned(6)).toContain("6 of 100 cells measure more than half of a tile: use a larger tile_size, such as 192");
    expect(warned(5)).toBe("");
    // A square of 50 pixels in a tile of 96, one of 40.
    const own = join(folder, "large");
    const square = (side: number) =>
      Int32Array.from({ length: 96 * 96 }, (_, i) => Number(i % 96 < side && Math.floor(i / 96) < side));
    for (const [name, side] of [
      ["a", 50],
      ["b", 40],
      ["c", 40],
    ] as const) {
      for (const kind of ["i", "m"]) await writeLabels(join(own, kind, `${name}.png`), { data: square(side), shape: [96, 96] });
    }
    const plan = await planExperiment(config({ imgPath: join(own, "i"), maskPath: join(own, "m"), findDuplicates: false }));
    expect(plan.cells).toMatchObject({ count: 3, large: 1 });
  });

  test("warns of a precision that the GPU is slower in", () => {
    const probe = { device: "cuda", precision: "fp32", suitedPrecision: "bf16", busy: 0, processMb: 1 };
    const warned = (more: object) =>
      warningsOf(new ExperimentConfig(config()), planWith({ probe: { ...probe, ...more } })).join();
    expect(warned({})).toContain("precision is fp32; the GPU multiplies faster in bf16");
    expect(warned({ precision: "bf16" })).not.toContain("multiplies faster");
  });

  test("adds the time of all folds and epochs", () => {
    const side = (tiles: number) => ({ images: 1, tiles, cells: 1 });
    const splits = [10, 20].map((tiles) => ({ train: side(tiles), val: side(5) }));
    const probe = (kept: StageProbe["kept"]) => ({
      stages: { 1: { trainable: 1, secondsPerTile: 2, secondsPerValidationTile: 1, kept } },
    });
    const checked = (more: object = {}) =>
      new ExperimentConfig(config({ stages: [1], stage1Config: { totalEpochs: 12 }, ...more }));
    const first = { 1: 25 };
    expect(forecast(checked(), splits, probe(null))).toEqual({ secondsPerEpoch: first, totalSeconds: 12 * (25 + 45) });
    // Features of a frozen backbone are computed once for each flip and turn.
    const kept = { secondsPerTile: 0.5, secondsPerValidationTile: 0.25 };
    const later = 6.25 + 11.25;
    expect(forecast(checked(), splits, probe(kept))).toEqual({ secondsPerEpoch: first, totalSeconds: 70 + 11 * later });
    const turned = checked({ augmentation: true });
    expect(forecast(turned, splits, probe(kept)).totalSeconds).toBe(8 * 70 + 4 * later);
  });
});

describe("several processes", () => {
  const stage = { trainable: 250_000_000, secondsPerTile: 2, secondsPerValidationTile: 1, kept: null };
  const of = (more: object, ranks: number, cells: number[], validate = 0) =>
    forecastRanks(
      new ExperimentConfig(config(more)),
      { cells, validate },
      { stages: { 1: stage, 2: stage } },
      { ranks, gigabytesPerSecond: 2 },
    );

  // By hand: 10 tiles in updates of 4, 4 and 2 batches take 2 + 2 + 1 rounds of two processes, 1 GB of gradients 3 * 2 * 1/2 * 0.5 s.
  test("divide the batches of an update, and sum its gradients", () => {
    const { stages } = of({ stages: [1], stage1Config: { accumulate: 4 } }, 2, Array(10).fill(3), 3);
    expect(stages[1]).toEqual({
      gradientBytes: 1e9,
      sumSeconds: 0.5,
      balance: 1,
      secondsPerEpoch: 10 + 1.5 + 2,
      speedUp: 23 / 13.5,
    });
  });

  test("wait for the one with the most prompts", () => {
    const even = of({ stages: [2], stage2Config: { accumulate: 2 } }, 2, Array(8).fill(5)).stages[2];
    expect(even?.balance).toBe(1);
    // One update of two tiles: one of them has all the cells.
    const uneven = of({ stages: [2], stage2Config: { accumulate: 2 } }, 2, [0, 10]).stages[2];
    expect(uneven).toMatchObject({ balance: 0.5, secondsPerEpoch: 4.5 });
    const limited = of({ stages: [2], stage2Config: { accumulate: 2, maxPrompts: 5 } }, 2, [5, 10]).stages[2];
    expect(limited?.balance).toBe(1);
  });

  test("are refused without a probe", async () => {
    await expect(planExperiment(config(), { ranks: 2 })).rejects.toThrow(/ranks needs probe/);
  });
});

describe("cellsam init", () => {
  const init = (...args: string[]) => initCommand().parseAsync(args, { from: "user" });

  test("writes what it found of the data, and never over a file", async () => {
    const file = join(folder, "new.yaml");
    await init(file, "--images", data.imgPath, "--masks", data.maskPath, "--preset", "quick");
    const text = await readFile(file, "utf8");
    expect(text).toMatch(/# 6 images with \d+ cells: 6 grey; 6 uint8\./);
    expect(new ExperimentConfig(parse(text))).toMatchObject({
      ...data,
      strategy: "train_val_split",
      stage1Config: { totalEpochs: 5 },
    });
    await expect(init(file)).rejects.toMatchObject({ code: "ERR_OUTPUT_EXISTS" });
    expect(await readFile(file, "utf8")).toBe(text);
  });

  test("warns of data that a run would refuse", async () => {
    const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    try {
      await init(join(folder, "broken.yaml"), "--images", data.imgPath, "--masks", join(folder, "nowhere"));
      expect(said.mock.calls.join("")).toMatch(
        /^warning: The data have one problem; `cellsam plan` lists all.*nowhere: does not exist/s,
      );
    } finally {
      said.mockRestore();
    }
  });

  test("sees that masks are foreground masks", async () => {
    const masks = join(folder, "binary");
    for (const name of ["000", "001", "002", "003", "004", "005"]) {
      const mask = new Int32Array(160 * 160);
      mask.fill(255, 500, 520);
      await writeLabels(join(masks, `synthetic_${name}.png`), { data: mask, shape: [160, 160] });
    }
    const file = join(folder, "binary.yaml");
    await init(file, "--images", data.imgPath, "--masks", masks);
    expect(parse(await readFile(file, "utf8"))).toMatchObject({ binary_masks: true });
  });

  test("writes the settings that come with shipped weights, so that no comment stands for another value", async () => {
    const file = join(folder, "shipped.yaml");
    await init(file, "--images", data.imgPath, "--masks", data.maskPath, "--weights", "cellsam-tiny");
    const text = await readFile(file, "utf8");
    const written = new ExperimentConfig(parse(text));
    expect(written).toMatchObject({ weights: "cellsam-tiny", size: "tiny", tileSize: 128 });
    // With every # before a setting of the top level taken away, it means the same.
    const all = parse(text.replace(/^# (?=[a-z0-9_]+: )/gm, ""));
    expect(all.grey_channel).toBe("all");
    expect(new ExperimentConfig(all)).toEqual(written);
  });

  test("reads the data with the settings that are given, and writes those", async () => {
    const own = join(folder, "settings");
    // Two channels, of which none can be chosen unasked; a mask with ignored pixels; a second data set.
    const pixels = Uint16Array.from({ length: 2 * 40 * 40 }, (_, i) => (i * 7) % 1000);
    const header = "{'descr': '<u2', 'fortran_order': False, 'shape': (40, 40, 2), }";
    const npy = Buffer.from(`\x93NUMPY\x01\0v\0${header.padEnd(117)}\n`, "latin1");
    const mask = new Int32Array(40 * 40);
    mask.fill(1, 85, 115);
    mask.fill(65535, 400, 500);
    for (const set of ["one", "two"])
      for (const name of ["a", "b"]) {
        await mkdir(join(own, set, "i"), { recursive: true });
        await writeFile(join(own, set, "i", `${name}.npy`), Buffer.concat([npy, Buffer.from(pixels.buffer)]));
        await writeLabels(join(own, set, "m", `${name}.png`), { data: mask, shape: [40, 40] });
      }
    const one = ["--images", join(own, "one/i"), "--masks", join(own, "one/m")];
    const plain = join(own, "plain.yaml");
    await init(plain, ...one);
    expect(await readFile(plain, "utf8")).toContain("The data have 2 problems");
    const file = join(own, "new.yaml");
    const more = `additionalDatasets=[{img_path: ${join(own, "two/i")}, mask_path: ${join(own, "two/m")}}]`;
    await init(file, ...one, "--set", "channels=[0, 1]", "--set", "ignore_label=65535", "--set", more, "--set", "tileSize=64");
    const text = await readFile(file, "utf8");
    expect(text).toMatch(/# 4 images with 4 cells: 4 RGB; 4 uint16\./);
    expect(text).toContain("# 2 images of additional_datasets only train.");
    const content = parse(text);
    expect(content).toMatchObject({ channels: [0, 1], ignore_label: 65535, tile_size: 64 });
    const planned = await planExperiment({
      ...(fromSnake(content) as object),
      outputName: "x",
      strategy: "full_dataset",
    } as never);
    expect(planned.images.count).toBe(4);
    expect(planned.cells.count).toBe(4);
    expect(planned.splits[0]?.train.images).toBe(4);
    await expect(init(join(own, "bad.yaml"), ...one, "--set", "chanels=[0]")).rejects.toMatchObject({ code: "ERR_CONFIG" });
  });
});
