// Training on a GPU: the numbers of the CPU, the same bits twice in deterministic mode, a kernel of ours and torch's operators
// in agreement, and no memory left behind.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deviceMemory, emptyDeviceCache, engineCall, resetDevicePeak } from "../../lib/engine/native.js";
import type { Device, SessionOptions } from "../../lib/engine/session.js";
import {
  changes,
  ellipses,
  plainSgd,
  relativeDistance,
  smallSession,
  storeOf,
  train,
  weightsOf,
} from "../unit/training-tiles.js";
import { gpu } from "./gpu.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-gpu-"));
let store: string;
beforeAll(async () => {
  if (gpu)
    store = await storeOf(
      [3, 5, 7, 0].map((cells, i) => ellipses(i + 1, cells)),
      join(folder, "tiles"),
    );
});
afterAll(() => rmSync(folder, { recursive: true }));

/** One epoch over the tiles from weights of seed 1, which every device draws on the CPU. */
async function journey(
  device: Device,
  stage: 1 | 2,
  options: Record<string, unknown> = {},
  model: Partial<SessionOptions> = {},
) {
  await using session = await smallSession({ device, ...model });
  const before = await weightsOf(session, folder);
  await session.beginStage({ epochs: 1, stepsPerEpoch: 4, ...plainSgd, stage, ...options });
  const report = await train(session, store, [0, 1, 2, 3], { augment: true });
  const validation = await session.validate({ store, indices: Int32Array.of(0, 1, 2), batchSize: 2 });
  const digest = await session.digest();
  return { ...report, validation, digest, change: changes(before, await weightsOf(session, folder)) };
}

const mining = { onlineHardNegativeMining: true, onlineHardNegativeMiningWeighted: true, ohemFraction: 0.3 };
const iou = { trainNeckOnly: false, freezeMaskDecoder: false, iouLossWeight: 1 };

describe.skipIf(!gpu)("a GPU", () => {
  test.each([
    ["stage 1", 1, {}],
    ["stage 2", 2, {}],
    ["stage 2 with mining", 2, mining],
    ["stage 2 with the decoder and an IoU loss", 2, iou],
  ] as const)("%s: learns what the CPU learns", async (_, stage, options) => {
    const [cpu, cuda] = [await journey("cpu", stage, options), await journey("cuda", stage, options)];
    expect(cuda.losses.total_loss).toBeCloseTo(cpu.losses.total_loss as number, 4);
    expect(cuda.validation.losses.total_loss).toBeCloseTo(cpu.validation.losses.total_loss as number, 4);
    expect(relativeDistance(cuda.change, cpu.change)).toBeLessThan(2e-3);
  });

  test.each([1, 2] as const)("stage %i: bf16 stays near fp32", async (stage) => {
    const [exact, rounded] = [await journey("cuda", stage), await journey("cuda", stage, {}, { precision: "bf16" })];
    const [wanted, got] = [exact.losses.total_loss as number, rounded.losses.total_loss as number];
    expect(Math.abs(got - wanted) / wanted).toBeLessThan(2e-2);
  });

  test.each([
    ["stage 1", 1, {}],
    ["stage 2", 2, mining],
  ] as const)("%s: the same bits twice in deterministic mode", async (_, stage, options) => {
    const exact = { deterministic: true };
    const [once, again] = [await journey("cuda", stage, options, exact), await journey("cuda", stage, options, exact)];
    expect(again.digest).toEqual(once.digest);
    expect(again.losses).toEqual(once.losses);
  });

  test.each([
    ["plain", {}],
    ["mining", mining],
    ["a trained decoder and an IoU loss", iou],
    ["chunks", { promptChunk: 2 }],
  ] as const)("the fused mask loss and torch's operators agree: %s", async (_, options) => {
    const { cuda_kernels: kernels } = engineCall<{ cuda_kernels: string[] | string }>("info");
    if (!Array.isArray(kernels)) return console.warn(`SKIPPED: no kernels of our own, since ${kernels}`);
    expect(kernels).toContain("mask_losses");
    const fused = await journey("cuda", 2, options);
    const plain = await journey("cuda", 2, { ...options, fusedMaskLoss: false });
    for (const [i, step] of plain.events.entries()) {
      for (const [name, value] of Object.entries({ ...step.losses, norm: step.gradNorm })) {
        const got = name === "norm" ? fused.events[i]?.gradNorm : fused.events[i]?.losses[name];
        expect(Math.abs((got as number) - (value as number)), name).toBeLessThan(1e-4 * Math.abs(value as number) + 1e-7);
      }
    }
    expect(relativeDistance(fused.change, plain.change)).toBeLessThan(1e-3);
  });

  test("epochs do not grow the memory, and a closed session leaves none", { timeout: 300_000 }, async () => {
    const before = deviceMemory("cuda")?.allocated ?? 0;
    const peaks: number[] = [];
    {
      await using session = await smallSession({ device: "cuda" });
      await session.beginStage({ stage: 2, epochs: 6, stepsPerEpoch: 4 });
      for (let epoch = 0; epoch < 6; epoch++) {
        resetDevicePeak("cuda");
        await train(session, store, [0, 1, 2], { epoch });
        peaks.push(deviceMemory("cuda")?.maxAllocated ?? Number.NaN);
      }
    }
    expect(peaks.at(-1)).toBe(peaks[1]); // the first epoch also makes the optimiser's state
    emptyDeviceCache("cuda");
    // The tables of our kernels and the workspaces of cuBLAS stay.
    expect((deviceMemory("cuda")?.allocated ?? Number.NaN) - before).toBeLessThan(64 * 2 ** 20);
  });
});
