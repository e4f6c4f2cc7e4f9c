// The binding and the typed session against a fake engine: conversions, errors, cancelling, progress, end of life.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandOptions } from "../../lib/engine/commandSession.js";
import {
  engineCall,
  engineCallAsync,
  liveObjects,
  type NativeSession,
  type NdArray,
  openNative,
} from "../../lib/engine/native.js";
import { type EpochReport, openSession, type Session } from "../../lib/engine/session.js";
import { openStoreWriter } from "../../lib/engine/storeWriter.js";
import { CellsamError } from "../../lib/errors.js";
import type { NoticeEvent, StepEvent } from "../../lib/events.js";
import { fakeEngine } from "../stress/engine.js";

beforeAll(() => {
  process.env.CELLSAM_ENGINE = fakeEngine();
});

/** What the session's class keeps to itself: the fake engine has commands that the real one lacks. */
interface AnyCommand {
  command<T = unknown>(name: string, args?: Record<string, unknown>, options?: CommandOptions): Promise<T>;
}

/** Blocks this thread, and with it every event, until so many steps were made since `reset_steps`; returns how many. */
function awaitSteps(steps: number, ms = 900_000): number {
  return engineCall<{ steps: number }>("await_steps", { steps, ms }).steps;
}

const counted = (steps: number) => Array.from({ length: steps }, (_, i) => i + 1);

async function errorOf(promise: Promise<unknown>): Promise<CellsamError> {
  const error = await promise.then(
    () => expect.unreachable("must reject"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CellsamError);
  return error as CellsamError;
}

describe("conversions", () => {
  test("plain data comes back as it went", () => {
    const data = { a: 1.5, b: "ä€𝄞", c: true, d: null, e: [1, [2, "x"], {}], f: { g: [] }, h: "", i: -0, j: 2 ** 53 };
    expect(engineCall("echo", data)).toEqual(data);
    expect(engineCall("echo", { a: undefined, b: 1 })).toEqual({ b: 1 });
    expect(engineCall<{ a: number }>("echo", { a: Number.NaN }).a).toBeNaN();
  });

  test.each([Uint8Array, Uint16Array, Int32Array, Float32Array, Float64Array])("%O keeps dtype, shape and numbers", (Kind) => {
    const data = Kind.from([1, 2, 3, 4, 5, 6]);
    const { array } = engineCall<{ array: NdArray }>("echo", { array: { data, shape: [3, 1, 2] } });
    expect(array.data).toBeInstanceOf(Kind);
    expect(Array.from(array.data)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(array.shape).toEqual([3, 1, 2]);
    expect(engineCall("sum", { array: { data, shape: [6] } })).toMatchObject({ sum: 21, shape: [6] });
  });

  test("a view into a larger buffer is read from its own offset", () => {
    const view = Float32Array.from([9, 9, 1, 2, 9]).subarray(2, 4);
    expect(engineCall("sum", { array: { data: view, shape: [2] } })).toMatchObject({ sum: 3, shape: [2] });
    expect(engineCall("sum", { array: view })).toMatchObject({ sum: 3, shape: [2] });
  });

  test("empty arrays and scalars keep their shape", () => {
    const empty = { data: new Float64Array(0), shape: [0, 4] };
    expect(engineCall("echo", { empty })).toEqual({ empty });
    const scalar = { data: Int32Array.of(7), shape: [] };
    expect(engineCall("echo", { scalar })).toEqual({ scalar });
  });

  test("native memory is handed over", () => {
    const { array } = engineCall<{ array: NdArray }>("ramp", { count: 100_000 });
    expect(array.data.length).toBe(100_000);
    expect(array.data[99_999]).toBe(99_999);
    expect(liveObjects().lent).toBeGreaterThan(0);
  });

  test.each([
    ["a wrong shape", { image: { data: new Uint8Array(5), shape: [2, 3] } }, "image: shape asks for 6 numbers, data has 5"],
    ["no shape", { image: { data: new Uint8Array(5) } }, "image: shape must be a list"],
    ["a negative side", { image: { data: new Uint8Array(0), shape: [-1, 0] } }, "not negative"],
    ["another typed array", { a: [new BigInt64Array(1)] }, "a[0]: typed array must be"],
    ["a function", { a: { b: () => 1 } }, "a.b: must be plain data"],
    ["a BigInt", { a: 1n }, "a: must be plain data"],
    ["a Map", { a: new Map() }, "a: must be plain data, not [object Map]"],
    ["a Date", { a: new Date() }, "[object Date]"],
  ])("%s is refused by name", (_, data, message) => {
    expect(() => engineCall("echo", data)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", message: expect.stringContaining(message) }),
    );
    expect(liveObjects().borrowed).toBeLessThan(50);
  });

  test("a cycle is refused, and an exception of a getter passes", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    expect(() => engineCall("echo", cycle)).toThrow("contains itself");
    const getter = {
      get a(): number {
        throw new RangeError("mine");
      },
    };
    expect(() => engineCall("echo", getter)).toThrow(RangeError);
  });
});

describe("errors", () => {
  test("keep code, message and detail, from either kind of call", async () => {
    const wanted = { code: "ERR_FAKE", message: "told to fail", detail: { image: "a.png", step: 3, sizes: [1, 2] } };
    expect(() => engineCall("fail")).toThrow(expect.objectContaining(wanted));
    expect(await errorOf(engineCallAsync("fail"))).toMatchObject(wanted);
    expect(await errorOf(openNative({ kind: "model", fail: 1 }))).toMatchObject(wanted);
  });

  test.each([
    ["bad_alloc", "ERR_OUT_OF_MEMORY"],
    ["threads", "ERR_OUT_OF_MEMORY"],
    ["exception", "ERR_INTERNAL"],
    ["number", "ERR_INTERNAL"],
  ])("%s becomes %s", async (kind, code) => {
    expect((await errorOf(engineCallAsync("fail", { kind }))).code).toBe(code);
    expect(() => engineCall("fail", { kind })).toThrow(CellsamError);
  });
});

describe("session", () => {
  let session: Session & AnyCommand;
  const epoch = { store: "s", indices: Int32Array.of(1, 2), epoch: 0, batchSize: 1, augment: false };
  const train = (more: object): Promise<EpochReport> => session.trainEpoch({ ...epoch, ...more } as never);

  beforeAll(async () => {
    const options = { size: "tiny", overrides: { imageSize: 128, encoderLayers: 1 }, seed: 7 };
    session = (await openSession(options)) as Session & AnyCommand;
  });
  afterAll(async () => {
    await session.dispose();
    await session.dispose();
    expect(liveObjects()).toMatchObject({ sessions: 0, jobs: 0, borrowed: 0 });
    expect(await errorOf(session.digest())).toMatchObject({ code: "ERR_DISPOSED" });
  });

  test("options reach the engine in snake_case", async () => {
    const native = await openNative({ kind: "model", image_size: 1 });
    expect(await native.call("options", {}).promise).toEqual({ kind: "model", image_size: 1 });
    await native.dispose();
    expect(await session.command("options")).toEqual({
      kind: "model",
      size: "tiny",
      seed: 7,
      overrides: { imageSize: 128, encoderLayers: 1 },
    });
    const raw = await session.command<Record<string, unknown>>("echo", { batchSize: 2, losses: { my_loss: 1, otherLoss: 2 } });
    expect(raw).toEqual({ batchSize: 2, losses: { my_loss: 1, otherLoss: 2 } });
  });

  test("names of tensors and of losses stay as they are", async () => {
    expect(await session.digest()).toEqual({ "some_layer.weight_v": "00ff", plain_name: "11ee" });
    const report = await session.validate({ store: "s", indices: epoch.indices, batchSize: 1 });
    expect(report.losses).toEqual({ total_loss: 2 });
  });

  test("D54: an epoch reports its steps and its end", async () => {
    const events: StepEvent[] = [];
    const report = await train({ steps: 6, stepMs: 5, onStep: (event: StepEvent) => events.push(event) });
    expect(report).toMatchObject({ stopped: false, step: 6, losses: { total_loss: 0.1 } });
    expect(events.at(-1)).toMatchObject({ type: "step", step: 6, imagesPerSecond: 1.5, losses: { loss_ce: 0.5 } });
  });

  test("a blocked event loop misses nothing: it hears every step afterwards, in order", async () => {
    engineCall("reset_steps");
    const heard: (number | string)[] = [];
    const onStep = ({ step }: StepEvent) => heard.push(step);
    const running = train({ steps: 400, stepMs: 0, onStep, onNotice: ({ type }: NoticeEvent) => heard.push(type) });
    awaitSteps(400); // this thread is busy until the epoch is over
    expect(heard).toEqual([]);
    await running;
    expect(heard).toEqual([...counted(200), "notice", ...counted(400).slice(200)]);
  });

  test("an event loop that stays blocked holds the training up, before unheard events fill the memory", async () => {
    engineCall("reset_steps");
    const heard: number[] = [];
    const running = train({ steps: 25_000, stepMs: 0, onStep: ({ step }: StepEvent) => heard.push(step) });
    awaitSteps(10_000);
    expect(awaitSteps(25_000, 200)).toBeLessThanOrEqual(10_001); // the next one waits to be told
    await running;
    expect(heard).toEqual(counted(25_000));
  });

  test("a training that is held up ends with its session", async () => {
    engineCall("reset_steps");
    const other = await openSession({ size: "tiny" });
    const running = errorOf(other.trainEpoch({ ...epoch, steps: 25_000, stepMs: 0, onStep: () => {} } as never));
    awaitSteps(10_000);
    await other.dispose();
    expect(await running).toMatchObject({ code: "ERR_DISPOSED" });
  });

  test("what a listener throws costs no other event", async () => {
    const child = join(import.meta.dirname, "throwing-listener.mjs");
    const { stdout } = await promisify(execFile)(process.execPath, [child]);
    expect(JSON.parse(stdout)).toEqual({ heard: [1, 2, 3, 4, 5], thrown: ["at step 2", "at step 4"] });
  });

  test("abort ends an epoch after the current step, running or queued", async () => {
    const control = new AbortController();
    const running = train({ steps: 1e6, stepMs: 2, signal: control.signal, onStep: () => control.abort() });
    const queued = train({ steps: 1e6, stepMs: 2, signal: control.signal });
    expect(await running).toMatchObject({ stopped: true });
    expect(await queued).toMatchObject({ stopped: true, step: 0 });
    expect(await train({ steps: 5, signal: AbortSignal.abort() })).toMatchObject({ stopped: true, step: 0 });
  });

  test("abort rejects validate and predict with the reason", async () => {
    const reason = new Error("enough");
    const control = new AbortController();
    const validating = session.command("validate", { ms: 60_000 }, control);
    const predicting = session.predict({ image: { data: new Uint8Array(4), shape: [2, 2] }, signal: control.signal });
    setTimeout(() => control.abort(reason), 20);
    await expect(validating).rejects.toBe(reason);
    await expect(predicting).rejects.toBe(reason);
    await expect(session.command("validate", {}, control)).rejects.toBe(reason);
  });

  test("the event loop turns while the session works", async () => {
    const control = new AbortController();
    const running = train({ steps: 1e6, stepMs: 1, signal: control.signal });
    for (let turn = 0; turn < 1000; turn++) await new Promise(setImmediate);
    control.abort();
    expect(await running).toMatchObject({ stopped: true });
  });

  test("dispose stops the running command and rejects it like the queued one", async () => {
    const other = await openSession({ size: "tiny" });
    let running: Promise<unknown> | undefined;
    await new Promise((onStep) => {
      running = errorOf(other.trainEpoch({ ...epoch, steps: 1e6, stepMs: 1, onStep } as never));
    });
    const queued = errorOf(other.digest());
    await other.dispose();
    expect(await running).toMatchObject({ code: "ERR_DISPOSED" });
    expect(await queued).toMatchObject({ code: "ERR_DISPOSED" });
  });

  test("dispose rejects a command that ends by itself all the same", async () => {
    const native = await openNative({ kind: "model" });
    let running: Promise<unknown> | undefined;
    await new Promise((begun) => {
      running = errorOf(native.call("stubborn", { ms: 50 }, begun).promise);
    });
    await native.dispose();
    expect(await running).toMatchObject({ code: "ERR_DISPOSED" });
  });

  test("a kept array lives until its session ends", async () => {
    const native = await openNative({ kind: "model" });
    await native.call("keep", { image: { data: new Uint8Array(1000), shape: [1000] } }).promise;
    expect(liveObjects().borrowed).toBe(1);
    await native.dispose();
    expect(liveObjects().borrowed).toBe(0);
  });
});

describe("commands that may run at the same time", () => {
  type Waiting = { now: number; most: number };
  const open = (concurrency: number) => openNative({ kind: "model", concurrency });
  const meet = (session: NativeSession, atOnce: number, args: object) =>
    session.call("meet", { ...args }, undefined, false, atOnce).promise;
  const waiting = async (session: NativeSession) => (await session.call("waiting", {}).promise) as Waiting;

  test("do, up to their number, and one that runs alone waits for all before it", async () => {
    await using session = await openSession({ size: "tiny", concurrency: 3 } as never);
    expect(session.concurrency).toBe(3);
    const native = await open(3);
    const met = Promise.all([1, 2, 3, 4, 5, 6, 7].map(() => meet(native, 3, { others: 2 })));
    expect(await waiting(native)).toEqual({ now: 0, most: 3 });
    expect(await met).toEqual([3, 3, 3, 3, 3, 3, 3]);
    await Promise.all([1, 2, 3].map(() => meet(native, 1, { others: 0 })));
    expect(await waiting(native)).toEqual({ now: 0, most: 1 });
    await native.dispose();
  });

  test("fail and are cancelled each for itself", async () => {
    const native = await open(3);
    const stopped = native.call("meet", { others: 3 }, undefined, false, 3);
    const failing = errorOf(meet(native, 3, { others: 2, kind: "number" }));
    expect(await meet(native, 3, { others: 2 })).toBe(3);
    expect(await failing).toMatchObject({ code: "ERR_INTERNAL" });
    stopped.cancel();
    expect(await errorOf(stopped.promise)).toMatchObject({ code: "ERR_CANCELLED" });
    expect(await waiting(native)).toEqual({ now: 0, most: 3 });
    await native.dispose();
  });

  test("end with their session, running or not", async () => {
    const native = await open(2);
    const endless = [1, 2, 3].map(() => errorOf(meet(native, 2, { others: 9 })));
    await native.dispose();
    for (const error of await Promise.all(endless)) expect(error).toMatchObject({ code: "ERR_DISPOSED" });
    expect(liveObjects()).toMatchObject({ sessions: 0, jobs: 0 });
  });
});

test("200 sessions opened, trained and disposed of leave nothing", async () => {
  for (let i = 0; i < 200; i++) {
    await using session = await openSession({ size: "tiny" });
    const options = { store: "s", indices: Int32Array.of(i), epoch: 0, batchSize: 1, augment: false, steps: 2, stepMs: 0.1 };
    await session.trainEpoch(options as never);
  }
  expect(liveObjects()).toMatchObject({ sessions: 0, jobs: 0, borrowed: 0 });
});

test("a store writer speaks its own commands", async () => {
  await using writer = await openStoreWriter({ path: "p", tileSize: 64 });
  expect((await errorOf(writer.finish())).message).toBe("unknown command finish");
});
