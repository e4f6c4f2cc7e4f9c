// What several sessions, or several epochs of one, share: the cores, and loss weights that change.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ellipses, plainSgd, side, smallSession, storeOf } from "./training-tiles.js";

let folder: string;
let store: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-sharing-"));
  store = await storeOf(
    [1, 2, 3, 4].map((seed) => ellipses(seed, 5)),
    join(folder, "tiles"),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const indices = Int32Array.of(0, 1, 2, 3);
const epoch = { indices, epoch: 1, batchSize: 1, augment: false };
const stage2 = { stage: 2, epochs: 100, stepsPerEpoch: 4, ...plainSgd, learningRate: 1e-9 } as const;

describe("threads", () => {
  test("commands that run at the same time take equal parts of the cores, a number of threads is kept", async () => {
    const cores = cpus().length;
    // Not small: its threads share the operators. A small one keeps its threads, as they do not wait for each other.
    const overrides = { imageSize: 256, patch: 4, embedDim: 128 };
    await using first = await smallSession({ threads: 0, overrides });
    await using second = await smallSession({ threads: 0, overrides });
    await using third = await smallSession({ threads: 1, overrides });
    for (const session of [first, second, third]) await session.beginStage(stage2);
    expect((await first.trainEpoch({ ...epoch, store })).threads).toBe(cores);
    // The second starts while the first one works on, whose part stays as it was until its next command.
    const many = Int32Array.from({ length: 8 }, (_, i) => i % 4);
    let longer: ReturnType<typeof first.trainEpoch> | undefined;
    await new Promise<void>((resolve) => {
      longer = first.trainEpoch({ ...epoch, store, indices: many, onStep: () => resolve() });
    });
    const [half, one] = await Promise.all([second.trainEpoch({ ...epoch, store }), third.trainEpoch({ ...epoch, store })]);
    expect(half.threads).toBe(Math.max(1, Math.floor(cores / 2)));
    expect(one.threads).toBe(1);
    expect((await longer)?.threads).toBe(cores);
    expect((await second.trainEpoch({ ...epoch, store })).threads).toBe(cores);
  });
});

test("no more threads are taken than OpenMP starts", () => {
  const engine = new URL("../../dist/engine/session.js", import.meta.url).href;
  const program = `const { openSession } = await import("${engine}");
    for (const threads of [0, 2]) console.log((await openSession({ size: "tiny", threads })).concurrency);`;
  const env = { ...process.env, OMP_THREAD_LIMIT: "1" };
  const out = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { env, encoding: "utf8" });
  expect(out.trim().split("\n")).toEqual(["1", "1"]);
});

describe("setLossWeights", () => {
  test("scales the parts of a mask loss from then on, and leaves the others", async () => {
    await using session = await smallSession();
    await session.beginStage(stage2);
    const before = (await session.validate({ store, indices, batchSize: 1 })).losses;
    await session.setLossWeights({ boundaryLossWeight: 0.25, diceLossWeight: 3 });
    const after = (await session.validate({ store, indices, batchSize: 1 })).losses;
    expect(after.boundary_loss).toBeCloseTo(0.25 * (before.boundary_loss as number), 6);
    expect(after.dice_loss).toBeCloseTo(3 * (before.dice_loss as number), 5);
    expect(after.focal_loss).toBe(before.focal_loss);
    const parts = (after.boundary_loss as number) + (after.dice_loss as number) + (after.focal_loss as number);
    expect(after.total_loss).toBeCloseTo(parts, 5);
  });

  test("does so for the detector", async () => {
    await using session = await smallSession();
    await session.beginStage({ ...stage2, stage: 1 });
    const before = (await session.validate({ store, indices, batchSize: 1 })).losses;
    await session.setLossWeights({ giouLossWeight: 0 });
    const after = (await session.validate({ store, indices, batchSize: 1 })).losses;
    expect(before.loss_giou).toBeGreaterThan(0);
    expect(after.loss_giou).toBe(0);
    expect(after.loss_ce).toBe(before.loss_ce);
  });

  test("refuses what it cannot do", async () => {
    await using session = await smallSession();
    await expect(session.setLossWeights({ diceLossWeight: 1 })).rejects.toMatchObject({ code: "ERR_STATE" });
    await session.beginStage(stage2);
    for (const weights of [
      { diceLossWeight: -1 },
      { iouLossWeight: 1 },
      { ceLossWeight: 1 },
      { focalLossWeight: Number.NaN },
    ]) {
      await expect(session.setLossWeights(weights)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    }
  });
});

describe("save", () => {
  test("as fp16 takes half the room, and comes back as the nearest numbers", async () => {
    await using session = await smallSession();
    const [whole, half] = [join(folder, "whole.safetensors"), join(folder, "half.safetensors")];
    await session.save(whole, { format: "safetensors" });
    await session.save(half, { format: "safetensors", dtype: "fp16" });
    expect(statSync(half).size / statSync(whole).size).toBeLessThan(0.56);
    await using other = await smallSession({ seed: 2 });
    const report = await other.load(half);
    expect(report).toMatchObject({ missing: [], unexpected: [], mismatched: [] });
    const image = { data: ellipses(5, 4).image.data as Uint8Array, shape: [side, side, 3] };
    const [exact, near] = await Promise.all([session, other].map((one) => one.candidates({ image, normalize: false })));
    expect(near?.scores.data.length).toBe(exact?.scores.data.length);
    for (const [i, score] of near?.scores.data.entries() ?? []) expect(score).toBeCloseTo(exact?.scores.data[i] as number, 2);
  });
});
