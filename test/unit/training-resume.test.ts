// The same configuration ends in the same bits, over the real engine: run twice, or stopped in the middle of an epoch, saved,
// and continued by another session.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Session } from "../../lib/engine/session.js";
import { isPretend, longTest, rowsHere } from "../device.js";
import { ellipses, smallSession, storeOf, train } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-resume-"));
let store: string;
beforeAll(async () => {
  store = await storeOf([ellipses(1, 5), ellipses(2, 4), ellipses(3, 7), ellipses(4, 0)], join(folder, "tiles"));
});
afterAll(() => rmSync(folder, { recursive: true }));

// Long enough that a stop reaches the engine within the epoch, and no multiple of any group; a pretend GPU takes its time.
const count = isPretend ? 29 : 101;
const indices = Array.from({ length: count }, (_, i) => i % 4);
const common = { epochs: 2, stepsPerEpoch: indices.length, learningRate: 1e-3, weightDecay: 1e-2, gradClip: 1 };

async function open(options: Record<string, unknown>, seed = 1): Promise<Session> {
  const session = await smallSession({ seed });
  await session.beginStage({ ...common, stage: 1, ...options });
  return session;
}

/** The first epoch, a short one, then what the plateau schedule is told. */
async function firstEpoch(session: Session) {
  const { losses } = await train(session, store, indices.slice(0, isPretend ? 5 : 13), { augment: true });
  for (let i = 0; i < 12; ++i) await session.observe(losses.total_loss as number);
}

async function straight(options: Record<string, unknown>, seed = 1) {
  await using session = await open(options, seed);
  await firstEpoch(session);
  const { losses, lr, images } = await train(session, store, indices, { epoch: 1, augment: true });
  return { losses, lr, images, digest: await session.digest() };
}

async function interrupted(options: Record<string, unknown>, state: string) {
  {
    await using session = await open(options);
    await firstEpoch(session);
    const first = await train(session, store, indices, { epoch: 1, augment: true, stopAfter: 3 });
    expect(first.stopped).toBe(true);
    expect(first.step).toBeGreaterThanOrEqual(3);
    expect(first.step).toBeLessThan(indices.length);
    await session.saveState(state);
  }
  await using session = await open(options);
  const { stage, epoch, step } = await session.loadState(state);
  expect({ stage, epoch }).toEqual({ stage: options.stage ?? 1, epoch: 1 });
  const { stopped, losses, lr, images } = await train(session, store, indices, { epoch, startStep: step, augment: true });
  expect(stopped).toBe(false);
  return { losses, lr, images, digest: await session.digest() };
}

describe("a stopped and resumed run ends like an undisturbed one", () => {
  test.each(
    rowsHere<[string, Record<string, unknown>]>([
      ["adamw, cosine", { optimizer: "adamw", scheduler: "cosine", warmupFraction: 0.2 }],
      ["adam, plateau", { optimizer: "adam", scheduler: "plateau" }],
      ["sgd, step", { optimizer: "sgd", scheduler: "step" }],
      ["muon, dense head", { optimizer: "muon", denseLossWeight: 0.5 }],
      ["LoRA", { loraRank: 3, loraLayers: "all", loraAlpha: 6 }],
      ["accumulated", { accumulate: 3 }],
      ["both backbones", { stage1Type: "all_backbones" }],
      ["stage 2", { stage: 2, scheduler: "cosine", onlineHardNegativeMining: true, maxPrompts: 3, boxJitter: 0.1 }],
      [
        "stage 2, all open",
        { stage: 2, trainNeckOnly: false, freezeImageEncoder: false, freezeMaskDecoder: false, accumulate: 2 },
      ],
    ]),
  )("%s", async (name, options) => {
    expect(await interrupted(options, join(folder, `${name}.state`))).toEqual(await straight(options));
  });

  longTest("also within the session that was stopped", async () => {
    await using session = await open({});
    await firstEpoch(session);
    const { step } = await train(session, store, indices, { epoch: 1, augment: true, stopAfter: 3 });
    const { losses, lr, images } = await train(session, store, indices, { epoch: 1, startStep: step, augment: true });
    expect({ losses, lr, images, digest: await session.digest() }).toEqual(await straight({}));
  });
});

longTest("D56: the seed decides: equal seeds give equal bits, also side by side, others do not", async () => {
  const [one, twin, other] = await Promise.all([straight({}), straight({}), straight({}, 2)]);
  expect(twin).toEqual(one);
  const name = "cellfinder.decode_head.transformer.class_embed.0.weight";
  expect(other.digest[name]).not.toBe(one.digest[name]);
  expect(other.losses).not.toEqual(one.losses);
});

longTest("a run that was stopped at the end of an epoch tells the learning rate of its last step", async () => {
  const options = { epochs: 1, scheduler: "cosine" }; // which ends at 0, after the last step
  const state = join(folder, "ended.state");
  await using session = await open(options);
  const { lr } = await train(session, store, indices);
  await session.saveState(state);
  await using resumed = await open(options);
  await resumed.loadState(state);
  expect((await train(resumed, store, indices, { startStep: indices.length })).lr).toBe(lr);
  expect(lr).toBeCloseTo(1e-3 * 0.5 * (1 + Math.cos((Math.PI * (count - 1)) / count)), 12);
});

test("a stop before the first step changes nothing", async () => {
  await using session = await open({});
  const before = await session.digest();
  const range = { store, indices: Int32Array.from(indices), epoch: 0, batchSize: 1, augment: false };
  const report = await session.trainEpoch({ ...range, signal: AbortSignal.abort() });
  expect(report).toMatchObject({ stopped: true, step: 0, images: 0 });
  expect(await session.digest()).toEqual(before);
});

test("dispose does not wait for the end of an accumulated group", async () => {
  const endless = Int32Array.from({ length: 100_000 }, (_, i) => i % 4);
  const session = await open({ stepsPerEpoch: endless.length, accumulate: endless.length });
  const range = { store, indices: endless, epoch: 0, batchSize: 1, augment: false };
  let running: Promise<unknown> | undefined;
  await new Promise<void>((onStep) => {
    running = session.trainEpoch({ ...range, onStep: () => onStep() }).catch((error: unknown) => error);
  });
  await session.dispose();
  expect(await running).toMatchObject({ code: "ERR_DISPOSED" });
});

describe("a state of something else is refused and changes nothing", () => {
  test.each<[string, Record<string, unknown>]>([
    ["another stage", { stage: 2 }],
    ["another scope", { headScope: "prediction" }],
    ["another optimizer", { optimizer: "sgd" }],
  ])("%s", async (_, options) => {
    const state = join(folder, "own.state");
    {
      await using session = await open({});
      await train(session, store, [0, 1]);
      await session.saveState(state);
    }
    await using session = await open(options);
    const before = await session.digest();
    await expect(session.loadState(state)).rejects.toMatchObject({ code: "ERR_STATE_MISMATCH" });
    expect(await session.digest()).toEqual(before);
  });
});
