// Kept features of frozen backbones, over the real engine: training and validation end in the same bits with and without them, what
// is kept serves epochs, folds, sessions and stores, and what goes wrong with the files costs time only.
import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionOptions } from "../../lib/engine/session.js";
import { longTest, rowsHere } from "../device.js";
import { ellipses, moved, plainSgd, smallSession, storeOf } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-features-"));
const tiles = [ellipses(1, 5), ellipses(2, 4), ellipses(3, 7), ellipses(4, 3)];
let store: string;
beforeAll(async () => {
  store = await storeOf(tiles, join(folder, "tiles"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const fresh = () => mkdtempSync(join(folder, "kept-"));
const files = (cache: string) => (existsSync(cache) ? readdirSync(cache).filter((name) => name.endsWith(".features")) : []);
const keptFile = (cache: string) => join(cache, files(cache)[0] as string);

interface Course {
  epochs?: number;
  indices?: number[];
  store?: string;
  how?: object;
  model?: Partial<SessionOptions>;
}

/** Trains and validates in turn; everything that a result depends on apart from the counts and notices. */
async function run(cache: string | null, stage: object, course: Course = {}) {
  const { epochs = 3, indices = [0, 1, 2], how = {}, model = {} } = course;
  await using session = await smallSession(model);
  const common = { stage: 2 as const, ...plainSgd, gradClip: 1, epochs, stepsPerEpoch: 2 };
  await session.beginStage({ ...common, featureCacheDir: cache ?? "", featureCacheGb: 1, ...stage });
  const [losses, kept, computed]: [unknown[], number[], number[]] = [[], [], []];
  const notices: string[] = [];
  const onNotice = ({ message }: { message: string }) => notices.push(message);
  for (let epoch = 1; epoch <= epochs; ++epoch) {
    const range = { store: course.store ?? store, batchSize: 2, onNotice };
    const trained = await session.trainEpoch({ ...range, indices: Int32Array.from(indices), epoch, augment: true, ...how });
    const validated = await session.validate({ ...range, indices: Int32Array.of(3) });
    losses.push(trained.losses, validated.losses);
    for (const { features } of [trained, validated]) {
      kept.push(features.kept);
      computed.push(features.computed);
    }
  }
  return { result: { losses, digest: await session.digest() }, kept, computed, notices };
}

let plain: ReturnType<typeof run> | undefined;
/** The course that most tests compare with. */
function plainRun(): ReturnType<typeof run> {
  plain ??= run(null, {});
  return plain;
}

const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

describe("with and without, cold and warm, the same bits", () => {
  test.each(
    rowsHere<[string, object, Course]>([
      ["stage 2", {}, {}],
      ["stage 2 in bf16", {}, { model: { precision: "bf16" } }],
      ["stage 2, features in bf16", { featureDtype: "bf16" }, {}],
      ["stage 2, features in fp32 of a network in bf16", { featureDtype: "fp32" }, { model: { precision: "bf16" } }],
      ["stage 2 of adv weights", {}, { model: { generation: "adv" } }],
      ["stage 2 with mining", { onlineHardNegativeMining: true, maxPrompts: 3 }, {}],
      ["the head alone", { stage: 1, stage1Type: "head_only" }, {}],
      ["a frozen detector", { stage: 1, stage1Type: "cellfinder", freezeBackbone: true }, {}],
      ["SAM's backbone, frozen", { stage: 1, stage1Type: "image_encoder", freezeBackbone: true }, {}],
      ["both backbones, frozen", { stage: 1, stage1Type: "all_backbones", freezeBackbone: true, accumulate: 2 }, {}],
    ]),
  )("%s", async (_, stage, course) => {
    const cache = fresh();
    const without = await run(null, stage, course);
    const cold = await run(cache, stage, course);
    const warm = await run(cache, stage, course);
    const backbones = "stage1Type" in stage && stage.stage1Type === "all_backbones" ? 2 : 1;
    expect([sum(without.kept), sum(without.computed)]).toEqual([0, 12 * backbones]);
    expect(sum(cold.kept) + sum(cold.computed)).toBe(12 * backbones);
    expect(cold.kept.filter((_, i) => i % 2 === 1)).toEqual([0, backbones, backbones]); // one tile validates
    expect([sum(warm.kept), sum(warm.computed)]).toEqual([12 * backbones, 0]);
    expect(files(cache)).toHaveLength(backbones);
    expect(cold.result).toEqual(without.result);
    expect(warm.result).toEqual(without.result);
    expect([...without.notices, ...cold.notices, ...warm.notices]).toEqual([]);
  });
});

test("what trains has no features: nothing is counted and nothing written", async () => {
  const cache = fresh();
  const open = { trainNeckOnly: false, freezeImageEncoder: false };
  const { kept, computed } = await run(cache, open, { epochs: 1 });
  expect([sum(kept), sum(computed), files(cache)]).toEqual([0, 0, []]);
  const detector = await run(cache, { stage: 1, stage1Type: "cellfinder" }, { epochs: 1 });
  expect([sum(detector.kept), sum(detector.computed), files(cache)]).toEqual([0, 0, []]);
});

describe("shared", () => {
  test("by stages: SAM's frozen backbone of stage 1 is that of stage 2", async () => {
    const cache = fresh();
    await run(cache, { stage: 1, stage1Type: "image_encoder", freezeBackbone: true });
    expect(sum((await run(cache, {})).computed)).toBe(0);
  });

  longTest("by folds, and by stores that hold the same tiles", async () => {
    const cache = fresh();
    await run(cache, {}, { indices: [0, 1, 2, 3], how: { augment: false } });
    expect(sum((await run(cache, {}, { indices: [1, 3], how: { fold: 2, augment: false } })).computed)).toBe(0);
    const turned = await storeOf([...tiles].reverse(), join(folder, "others"));
    expect(sum((await run(cache, {}, { store: turned, how: { augment: false } })).computed)).toBe(0);
  });

  longTest("by sessions that run at the same time", async () => {
    const cache = fresh();
    const without = await plainRun();
    const together = await Promise.all([run(cache, {}), run(cache, {}), run(cache, {})]);
    for (const { result, notices } of together) {
      expect(result).toEqual(without.result);
      expect(notices).toEqual([]);
    }
    expect(sum((await run(cache, {})).computed)).toBe(0);
  });

  longTest("not by other weights", async () => {
    const cache = fresh();
    await run(cache, {});
    const without = await run(null, {}, { model: { seed: 2 } });
    const other = await run(cache, {}, { model: { seed: 2 } });
    expect(sum(other.computed)).toBeGreaterThan(0);
    expect(other.result).toEqual(without.result);
    expect(files(cache)).toHaveLength(2);
  });

  test("not when weights are loaded into an open stage", async () => {
    const path = join(folder, "seed2.pth");
    {
      await using other = await smallSession({ seed: 2 });
      await other.save(path);
    }
    const cache = fresh();
    const validate = async (dir: string) => {
      await using session = await smallSession();
      await session.beginStage({ stage: 2, epochs: 1, stepsPerEpoch: 1, featureCacheDir: dir, featureCacheGb: 1 });
      const range = { store, indices: Int32Array.of(0, 1), batchSize: 1 };
      const before = await session.validate(range);
      await session.load(path);
      return [before.losses, (await session.validate(range)).losses];
    };
    const [before, after] = await validate(cache);
    expect(after).not.toEqual(before);
    expect([before, after]).toEqual(await validate(""));
  });
});

describe("what goes wrong with the files costs time only", () => {
  async function expectRepair(spoil: (path: string) => void, notice: RegExp) {
    const cache = fresh();
    const cold = await run(cache, {});
    spoil(keptFile(cache));
    const repaired = await run(cache, {});
    expect(repaired.result).toEqual(cold.result);
    expect(repaired.notices).toEqual([expect.stringMatching(notice)]);
    expect(sum(repaired.computed)).toBeGreaterThan(0);
    const warm = await run(cache, {});
    expect([sum(warm.computed), warm.result]).toEqual([0, cold.result]);
  }

  longTest("a flipped bit", () =>
    expectRepair((path) => {
      const [file, byte] = [openSync(path, "r+"), Buffer.alloc(1)];
      readSync(file, byte, 0, 1, 5000);
      writeSync(file, Buffer.of((byte[0] as number) ^ 1), 0, 1, 5000);
    }, /damaged/),
  );
  longTest("a file that was cut off", () => expectRepair((path) => truncateSync(path, 4096 + 5000), /damaged/));
  longTest("a file of something else", () => expectRepair((path) => writeFileSync(path, "features"), /damaged/));

  test.each<[string, () => string, object, RegExp]>([
    ["a folder that cannot be made", () => join(import.meta.filename, "features"), {}, /cannot be kept/],
    ["a limit that is reached", fresh, { featureCacheGb: 45e-6 }, /the limit of 0.00 GB is reached/],
  ])("%s", async (_, cache, options, notice) => {
    const without = await plainRun();
    const { result, computed, notices } = await run(cache(), options);
    expect(result).toEqual(without.result);
    expect(sum(computed)).toBeGreaterThan(4);
    expect(notices).toEqual([expect.stringMatching(notice)]);
  });

  test("no space at all switches it off", async () => {
    const cache = fresh();
    const { kept, notices } = await run(cache, { featureCacheGb: 0 });
    expect([sum(kept), files(cache), notices]).toEqual([0, [], []]);
  });
});

describe("complex augmentation", () => {
  longTest("shows ever new pictures, of which none is kept", async () => {
    const cache = fresh();
    const course = { how: { complexAugmentation: true } };
    const cold = await run(cache, {}, course);
    expect([cold.computed, cold.kept]).toEqual([
      [3, 1, 3, 0, 3, 0],
      [0, 0, 0, 1, 0, 1],
    ]);
    expect((await run(null, {}, course)).result).toEqual(cold.result);
  });

  longTest("from a pool shows pictures that come again", async () => {
    const cache = fresh();
    const course = { epochs: 8, how: { complexAugmentation: true, augmentationVariants: 2 } };
    const without = await run(null, {}, course);
    const cold = await run(cache, {}, course);
    expect(sum(cold.computed)).toBeLessThanOrEqual(2 * 3 + 1);
    expect(sum(cold.kept)).toBeGreaterThanOrEqual(8 * 4 - 7);
    expect(cold.result).toEqual(without.result);
    const endless = await run(null, {}, { ...course, how: { complexAugmentation: true } });
    expect(moved(endless.result.digest, cold.result.digest)).not.toEqual([]);
  });

  test("a pool of flips is refused: there are eight anyway", async () => {
    await expect(run(null, {}, { how: { augmentationVariants: 2 } })).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
  });
});

test("names of types that do not exist are refused, also where nothing is frozen", async () => {
  const refused = { code: "ERR_INVALID_ARGUMENT", message: expect.stringContaining("feature_dtype") };
  await expect(run(null, { featureDtype: "fp16" })).rejects.toMatchObject(refused);
  await expect(run(null, { stage: 1, stage1Type: "cellfinder", featureDtype: "fp16" })).rejects.toMatchObject(refused);
});
