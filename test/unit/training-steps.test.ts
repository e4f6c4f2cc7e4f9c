// What one step teaches and reports, over the real engine: accumulation, prompt chunks, mining, random draws, schedules,
// validation, batches without cells, and losses that are not finite.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Losses, Session, SessionOptions } from "../../lib/engine/session.js";
import { isPretend, longTest, rowsHere, testDevice } from "../device.js";
import {
  changes,
  ellipses,
  moved,
  plainSgd,
  relativeDistance,
  smallSession,
  spoilWeights,
  storeOf,
  tinyRate,
  train,
  weightsOf,
} from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-steps-"));
let store: string; // 0..3: three cells each; 4: seven cells; 5, 6: none; 7: one; 8: a copy of 4
let base: string; // the weights that sessions with other seeds start from
beforeAll(async () => {
  const cells = [3, 3, 3, 3, 7, 0, 0, 1];
  const tiles = cells.map((count, i) => ellipses(i + 1, count));
  store = await storeOf([...tiles, ellipses(5, 7)], join(folder, "tiles"));
  base = join(folder, "base.pth");
  await using session = await smallSession();
  await session.save(base);
});
afterAll(() => rmSync(folder, { recursive: true }));

const common = { epochs: 10, stepsPerEpoch: 4, ...plainSgd };

/** Where one epoch over `indices` takes the weights. */
async function journey(
  stage: 1 | 2,
  indices: number[],
  options: Record<string, unknown> = {},
  batchSize = 1,
  model: Partial<SessionOptions> = {},
) {
  await using session = await smallSession(model);
  const before = await weightsOf(session, folder);
  await session.beginStage({ ...common, stage, ...options });
  const report = await train(session, store, indices, { batchSize });
  return { ...report, change: changes(before, await weightsOf(session, folder)) };
}

function expectSameLosses(losses: Losses, wanted: Losses): void {
  expect(Object.keys(losses)).toEqual(Object.keys(wanted));
  for (const [name, loss] of Object.entries(wanted)) expect(losses[name], name).toBeCloseTo(loss as number, 4);
}

describe("gradient accumulation", () => {
  test.each([1, 2] as const)("stage %i: two batches of one equal one batch of two with as many cells", async (stage) => {
    const [apart, together] = [await journey(stage, [0, 1], { accumulate: 2 }), await journey(stage, [0, 1], {}, 2)];
    expect(relativeDistance(apart.change, together.change)).toBeLessThan(2e-4);
    expect(apart.losses.total_loss).toBeCloseTo(together.losses.total_loss as number, 4);
    const alone = await journey(stage, [0, 1]); // two updates are not the same: the comparison can fail
    expect(relativeDistance(alone.change, together.change)).toBeGreaterThan(0.1);
  });

  // Losses are means over the cells or prompts of a batch, so batches count alike however many cells they hold.
  test.each([1, 2] as const)("stage %i: the update is the mean of the batches' own gradients", async (stage) => {
    const both = await journey(stage, [4, 7], { accumulate: 2 });
    const [one, other] = [await journey(stage, [4]), await journey(stage, [7])];
    const mean = one.change.map((value, i) => (value + (other.change[i] as number)) / 2);
    expect(relativeDistance(both.change, mean)).toBeLessThan(1e-4);
  });

  test.each([1, 2] as const)("stage %i: a short last group counts in full", async (stage) => {
    const grouped = await journey(stage, [0, 0, 0], { accumulate: 2 });
    const single = await journey(stage, [0, 0]);
    expect(relativeDistance(grouped.change, single.change)).toBeLessThan(1e-4);
    expect(grouped.events.map((step) => step.gradNorm !== null)).toEqual([false, true, true]);
  });
});

describe("prompts", () => {
  const mining = { onlineHardNegativeMining: true, ohemFraction: 0.3 };
  const trainings = rowsHere<[string, Record<string, unknown>]>([
    ["plain", {}],
    ["mining", mining],
    ["everything trained", { iouLossWeight: 1, trainNeckOnly: false, freezeMaskDecoder: false, freezePromptEncoder: false }],
  ]);

  test.each(
    rowsHere([
      ["plain", {}],
      ["mining", mining],
      ["weighted mining", { ...mining, onlineHardNegativeMiningWeighted: true }],
      ["IoU loss", { iouLossWeight: 1, trainNeckOnly: false, freezeMaskDecoder: false }],
    ]),
  )("%s: the size of a chunk changes nothing", async (_, options) => {
    const whole = await journey(2, [0, 4], { ...options, promptChunk: 0 }, 2);
    for (const promptChunk of [1, 3, 32]) {
      const chunked = await journey(2, [0, 4], { ...options, promptChunk }, 2);
      expect(relativeDistance(chunked.change, whole.change)).toBeLessThan(1e-4);
      expectSameLosses(chunked.losses, whole.losses);
    }
  });

  // What the chunks give to the image's gradient adds up in fp32: sums in bf16 would differ by several times as much on a CPU. On a
  // GPU each chunk rounds maps of its own, by 4e-3 together, which takes it about as far from fp32 as whole images are.
  test("the size of a chunk leaves bf16 as near to fp32 as it was", async () => {
    const of = async (promptChunk: number, precision: "fp32" | "bf16") =>
      (await journey(2, [4], { promptChunk }, 1, { precision })).change;
    const exact = await of(0, "fp32");
    const [whole, single] = [await of(0, "bf16"), await of(1, "bf16")];
    expect(relativeDistance(single, whole)).toBeLessThan(testDevice === "cpu" ? 1e-3 : 8e-3);
    expect(relativeDistance(single, exact)).toBeLessThan(1.1 * relativeDistance(whole, exact));
  });

  test.each(trainings)("%s: the factored decoder teaches what the plain one does", async (_, options) => {
    const factored = await journey(2, [0, 4], { ...options, promptChunk: 3 }, 2);
    const plain = await journey(2, [0, 4], { ...options, factoredDecoder: false }, 2);
    expect(relativeDistance(factored.change, plain.change)).toBeLessThan(1e-4);
    expectSameLosses(factored.losses, plain.losses);
  });

  test.each(trainings)("%s: the form that a CUDA graph repeats teaches the same", async (_, options) => {
    const graphs = await journey(2, [0, 4, 7, 8], { ...options, cudaGraphs: true, promptChunk: 5 }, 2);
    const plain = await journey(2, [0, 4, 7, 8], options, 2);
    expect(relativeDistance(graphs.change, plain.change)).toBeLessThan(1e-4);
    expectSameLosses(graphs.losses, plain.losses);
    if (testDevice !== "cpu") return; // there test/gpu/graphs.test.ts looks at the graphs
    expect(graphs.graphs).toEqual({ recorded: 0, replayed: 0 }); // there is no GPU to record for, and it is said
    expect(graphs.notices.join()).toContain("cuda_graphs is for a GPU");
  });

  test.each(
    rowsHere([
      ["plain", {}],
      ["weighted mining", { ...mining, onlineHardNegativeMiningWeighted: true }],
      ["IoU loss", { iouLossWeight: 1, trainNeckOnly: false, freezeMaskDecoder: false }],
      ["other weights", { focalGamma: 1.5, focalLossWeight: 3, diceLossWeight: 0.5, boundaryLossWeight: 2 }],
    ]),
  )("%s: with and without the fused mask loss, in deterministic mode too", async (_, options) => {
    // Masks of 32 pixels onto a canvas of 64, of 64 onto 64, and of 48 onto 96; tiles have 64. A pretend GPU takes its time.
    for (const sizes of isPretend ? [{ imageSize: 96 }] : [{}, { patch: 4 }, { imageSize: 96 }]) {
      const fused = await journey(2, [0, 4], options, 2, { overrides: sizes });
      for (const [deterministic, fusedMaskLoss] of [
        [false, false],
        [true, false], // the tensors are resized by another way
        [true, true],
      ] as const) {
        const other = await journey(2, [0, 4], { ...options, fusedMaskLoss }, 2, { deterministic, overrides: sizes });
        expect(relativeDistance(other.change, fused.change)).toBeLessThan(1e-4);
        expectSameLosses(other.losses, fused.losses);
        // Not to the last bit: the switch chooses.
        if (!fusedMaskLoss) expect(relativeDistance(other.change, fused.change)).toBeGreaterThan(0);
      }
    }
  });

  test("D16: mining multiplies what is hard, and the mean stays over prompts", async () => {
    const plain = await journey(2, [4]);
    const mined = await journey(2, [4], { onlineHardNegativeMining: true, ohemFraction: 1, ohemHardWeight: 3 });
    expect(mined.losses.total_loss).toBeCloseTo(3 * (plain.losses.total_loss as number), 4);
    expect(
      relativeDistance(
        mined.change,
        plain.change.map((value) => 3 * value),
      ),
    ).toBeLessThan(1e-4);
  });

  /** The loss of each step, at learning rate 0, so that it shows which prompts were drawn. */
  async function draws(
    seed: number,
    indices: number[],
    epoch: number,
    options: { startStep?: number; batchSize?: number } = {},
  ) {
    await using session = await smallSession({ seed });
    await session.load(base);
    await session.beginStage({ ...common, learningRate: tinyRate, stage: 2, maxPrompts: 2, boxJitter: 0.2 });
    const { events } = await train(session, store, indices, { epoch, ...options });
    return events.map((step) => step.losses.total_loss as number);
  }

  longTest("drawing depends on seed, epoch and sample alone", async () => {
    const sorted = (values: number[]) => [...values].sort((a, b) => a - b);
    const straight = await draws(1, [0, 1, 2, 4], 0);
    expect(new Set(straight).size).toBe(4);
    expect(sorted(await draws(1, [4, 2, 0, 1], 0))).toEqual(sorted(straight));
    expect(await draws(1, [0, 1, 2, 4], 0, { startStep: 2 })).toEqual(straight.slice(2));
    expect(straight).toEqual(expect.arrayContaining(await draws(1, [4], 0)));
    const rows = [await draws(1, [0, 4], 0, { batchSize: 2 }), await draws(1, [4, 0], 0, { batchSize: 2 })];
    expect(rows[0]?.[0]).toBeCloseTo(rows[1]?.[0] as number, 5);
    const copies = await draws(1, [4, 8], 0);
    expect(copies[0]).not.toBeCloseTo(copies[1] as number, 5);
    for (const other of [await draws(2, [0, 1, 2, 4], 0), await draws(1, [0, 1, 2, 4], 1)]) {
      expect(other.filter((loss) => straight.includes(loss))).toEqual([]);
    }
  });
});

describe("schedules", () => {
  const lr = 1e-3;
  /** Rates of two epochs of five steps. */
  async function rates(options: Record<string, unknown>, indices = [0, 1, 2, 3, 4]) {
    await using session = await smallSession();
    await session.beginStage({ ...common, learningRate: lr, stage: 1, epochs: 2, stepsPerEpoch: 5, ...options });
    const epochs = [];
    for (const epoch of [0, 1]) epochs.push(await train(session, store, indices, { epoch }));
    return epochs.flatMap((epoch) => epoch.events.map((step) => step.lr / lr));
  }
  const near = (values: number[]) => values.map((value) => expect.closeTo(value, 9));
  const cosine = (step: number, steps: number) => 0.5 * (1 + Math.cos((Math.PI * step) / steps));

  test.each<[string, Record<string, unknown>, number[]]>([
    ["none", {}, Array(10).fill(1)],
    ["none, warm-up", { warmupFraction: 0.4 }, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1]],
    ["step", { scheduler: "step" }, [1, 1, 1, 1, 1, 1, 1, 0.9, 0.9, 0.9]],
    ["cosine", { scheduler: "cosine" }, [...Array(10).keys()].map((step) => cosine(step, 10))],
    [
      "cosine, warm-up",
      { scheduler: "cosine", warmupFraction: 0.2 },
      [...Array(10).keys()].map((step) => Math.min(1, step / 2) * cosine(step, 10)),
    ],
    // Three updates an epoch: the rate belongs to the update that a batch is part of.
    [
      "cosine, accumulated",
      { scheduler: "cosine", accumulate: 2 },
      [0, 0, 1, 1, 2, 3, 3, 4, 4, 5].map((step) => cosine(step, 6)),
    ],
  ])("%s", async (_, options, expected) => {
    expect(await rates(options)).toEqual(near(expected));
  });

  test("plateau halves after more than ten observations without improvement", async () => {
    await using session = await smallSession();
    await session.beginStage({ ...common, learningRate: lr, stage: 1, scheduler: "plateau" });
    const rates = [];
    for (let i = 0; i < 12; ++i) rates.push((await session.observe(1)).lr);
    expect(rates).toEqual([...Array(11).fill(lr), lr / 2]);
    expect((await train(session, store, [0])).events[0]?.lr).toBeCloseTo(lr / 2, 12);
  });
});

describe("a loss that is not finite", () => {
  test.each([
    [1, {}],
    [2, {}],
    [2, { cudaGraphs: true }],
  ] as const)("stage %i %o: names its images, and the bad step is not applied", async (stage, options) => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage, optimizer: "adamw", learningRate: 1e30, ...options });
    await train(session, store, [0]); // the loss before the first update is fine
    const before = await session.digest();
    const failed = train(session, store, [1, 2], { epoch: 3, batchSize: 2 });
    await expect(failed).rejects.toMatchObject({
      code: "ERR_NON_FINITE_LOSS",
      message: expect.stringMatching(new RegExp(`stage ${stage}, epoch 3, step 1 .*tile[12], tile[12]`)),
      detail: {
        stage,
        epoch: 3,
        step: 1,
        images: expect.arrayContaining(["tile1", "tile2"]),
        layer: expect.stringMatching(stage === 1 ? /^cellfinder\./ : /^model\./),
        operation: expect.any(String),
      },
    });
    expect(await session.digest()).toEqual(before);
    for (const [name, values] of await weightsOf(session, folder)) {
      expect(values.every(Number.isFinite), name).toBe(true);
    }
  });

  test.each([
    [1, "cellfinder.decode_head.input_proj.0.0"],
    [2, "model.image_encoder.neck.0"],
  ] as const)("stage %i: names the layer where it began, in training and in validation", async (stage, layer) => {
    await using session = await smallSession();
    await spoilWeights(session, folder, `${layer}.weight`, (values) => values.fill(3e38)); // the layer's first sum overflows
    await session.beginStage({ ...common, stage });
    const before = await session.digest();
    const told = {
      code: "ERR_NON_FINITE_LOSS",
      message: expect.stringContaining(`It began in ${layer}, operation `),
      detail: { layer, operation: expect.any(String), backward: false },
    };
    await expect(train(session, store, [0])).rejects.toMatchObject(told);
    await expect(session.validate({ store, indices: Int32Array.of(0), batchSize: 1 })).rejects.toMatchObject(told);
    expect(await session.digest()).toEqual(before);
  });

  test("leaves no gradient behind for the next attempt", async () => {
    const run = async (spoil: boolean) => {
      await using session = await smallSession();
      await session.beginStage({ ...common, stage: 2, optimizer: "adamw", learningRate: spoil ? 1e30 : 1e-3 });
      const state = join(folder, "fresh.safetensors");
      await session.saveState(state);
      if (spoil) {
        await train(session, store, [0]);
        await expect(train(session, store, [1], { epoch: 1 })).rejects.toMatchObject({ code: "ERR_NON_FINITE_LOSS" });
      }
      await session.loadState(state);
      const { events } = await train(session, store, [2]);
      return events[0]?.gradNorm;
    };
    // A gradient of the spoiled step would be many powers of ten larger; sums on a GPU may differ in their last digit.
    expect(await run(true)).toBeCloseTo((await run(false)) as number, 6);
  });
});

describe("batches without cells", () => {
  test("stage 1 learns that there is nothing", async () => {
    const { events, change } = await journey(1, [5, 6], {}, 2);
    expect(events[0]?.losses).toMatchObject({ loss_bbox: 0, loss_giou: 0 });
    expect(events[0]?.losses.loss_ce).toBeGreaterThan(0);
    expect(change.some((value) => value !== 0)).toBe(true);
  });

  test("stage 2 has nothing to learn from them", async () => {
    const { events, losses, steps, images, change } = await journey(2, [5, 6], {}, 1);
    expect({ events, steps, images }).toEqual({ events: [], steps: 2, images: 2 });
    expect(new Set(Object.values(losses))).toEqual(new Set([null]));
    expect(change.every((value) => value === 0)).toBe(true);
  });

  test("D60: unless the whole tile is a prompt for an empty mask", async () => {
    const { events, change } = await journey(2, [5, 6], { backgroundPrompt: true }, 1);
    expect(events.at(-1)?.step).toBe(2);
    expect(change.some((value) => value !== 0)).toBe(true);
  });

  test("they do not dilute the others", async () => {
    const [alone, among] = [await journey(2, [4]), await journey(2, [4, 5], {}, 2)];
    expect(relativeDistance(among.change, alone.change)).toBeLessThan(1e-4);
    expect(among.losses.total_loss).toBeCloseTo(alone.losses.total_loss as number, 5);
  });

  test("validation reports null only when nothing counted", async () => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage: 2 });
    const losses = async (indices: number[]) =>
      (await session.validate({ store, indices: Int32Array.from(indices), batchSize: 1 })).losses;
    expect(new Set(Object.values(await losses([5, 6])))).toEqual(new Set([null]));
    expect(await losses([5, 4, 6])).toEqual(await losses([4]));
  });
});

describe("validation", () => {
  const indices = Int32Array.from([0, 1, 4]);
  const validate = (session: Session) => session.validate({ store, indices, batchSize: 2 });

  test.each([1, 2] as const)("stage %i: changes nothing and repeats itself", async (stage) => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage });
    const before = await session.digest();
    const first = await validate(session);
    expect((await validate(session)).losses).toEqual(first.losses);
    expect(first.images).toBe(3);
    expect(moved(before, await session.digest())).toEqual([]);
    await train(session, store, [0]);
    expect((await validate(session)).losses).not.toEqual(first.losses);
  });

  test("D17: uses neither mining nor drawn prompts", async () => {
    const options = { onlineHardNegativeMining: true, boxJitter: 0.3, maxPrompts: 1 };
    const losses = [];
    for (const more of [{}, options]) {
      await using session = await smallSession();
      await session.beginStage({ ...common, stage: 2, learningRate: tinyRate, ...more });
      const { losses: validated } = await session.validate({ store, indices: Int32Array.of(4), batchSize: 1 });
      losses.push({ validated, trained: (await train(session, store, [4])).losses });
    }
    expect(losses[1]?.validated).toEqual(losses[0]?.validated);
    expect(losses[1]?.trained).not.toEqual(losses[0]?.trained);
    // Without them, training sees the same prompts; on a GPU it may add up the loss in another order.
    for (const [name, loss] of Object.entries(losses[0]?.validated ?? {}))
      expect(losses[0]?.trained[name]).toBeCloseTo(loss as number, 6);
  });

  test.each([1, 2] as const)("D11: stage %i validation is never augmented, training is when asked", async (stage) => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage, learningRate: tinyRate });
    const { losses } = await session.validate({ store, indices: Int32Array.of(4), batchSize: 1 });
    const plain = await train(session, store, [4]);
    const augmented = [];
    for (const epoch of [0, 1, 2])
      augmented.push((await train(session, store, [4], { epoch, augment: true })).losses.total_loss);
    expect(plain.losses.total_loss).toBeCloseTo(losses.total_loss as number, 6);
    expect(augmented.some((loss) => Math.abs((loss as number) - (losses.total_loss as number)) > 1e-4)).toBe(true);
  });
});

test("a stage that cannot be opened leaves none open", async () => {
  await using session = await smallSession();
  await session.beginStage({ ...common, stage: 1 });
  await expect(session.beginStage({ ...common, stage: 2, noSuchOption: 1 })).rejects.toMatchObject({
    code: "ERR_INVALID_ARGUMENT",
    message: expect.stringContaining("noSuchOption"),
  });
  await expect(train(session, store, [0])).rejects.toMatchObject({ code: "ERR_STATE" });
});

test.each([
  ["D84: an empty fold", { indices: new Int32Array(0) }, "indices is empty"],
  ["no batch size", { batchSize: 0 }, "batch_size"],
  ["a negative start", { startStep: -1 }, "start_step"],
  ["a tile that is not there", { indices: Int32Array.of(99) }, "99"],
])("%s is refused", async (_, options, message) => {
  await using session = await smallSession();
  await session.beginStage({ ...common, stage: 1 });
  const request = { store, indices: Int32Array.of(0), epoch: 0, batchSize: 1, augment: false, ...options };
  await expect(session.trainEpoch(request)).rejects.toMatchObject({
    code: "ERR_INVALID_ARGUMENT",
    message: expect.stringContaining(message),
  });
});
