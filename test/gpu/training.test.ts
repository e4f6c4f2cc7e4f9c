// Training on a GPU: the numbers of the CPU, the same bits twice in deterministic mode, a kernel of ours and torch's operators
// in agreement, and no memory left behind.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deviceMemory, emptyDeviceCache, engineCall, resetDevicePeak } from "../../lib/engine/native.js";
import type { Device, SessionOptions } from "../../lib/engine/session.js";
import { isPretend, rowsHere, testGpu } from "../device.js";
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

/** What stays of a closed session: our kernels' tables, and up to 32 MiB that cuBLAS keeps for each stream and library handle. */
const workspaces = (isPretend ? 1 : 128) * 2 ** 20;

/** |got - wanted| is less than `near` times |wanted|. */
function expectNear(got: number | null | undefined, wanted: number | null | undefined, near: number) {
  const [a, b] = [got ?? Number.NaN, wanted ?? Number.NaN];
  expect(Math.abs(a - b) / Math.abs(b), `${a} for ${b}`).toBeLessThan(near);
}

const mining = { onlineHardNegativeMining: true, onlineHardNegativeMiningWeighted: true, ohemFraction: 0.3 };
const iou = { trainNeckOnly: false, freezeMaskDecoder: false, iouLossWeight: 1 };

describe.skipIf(!gpu)("a GPU", () => {
  test.each(
    rowsHere([
      ["stage 1", 1, {}, {}],
      ["stage 1, a dense head beside it", 1, { denseLossWeight: 1 }, {}],
      ["stage 1, the backbone by LoRA", 1, { loraRank: 2, loraLayers: "all" }, {}],
      ["stage 1, the encoder alone", 1, { stage1Type: "image_encoder" }, {}],
      ["stage 1, both encoders", 1, { stage1Type: "all_backbones" }, {}],
      ["stage 1, the head alone", 1, { stage1Type: "head_only" }, {}],
      ["stage 1, accumulated and computed again", 1, { accumulate: 2, activationCheckpointing: true }, {}],
      ["stage 1, deterministic", 1, {}, { deterministic: true }],
      ["stage 2", 2, {}, {}],
      ["stage 2 with mining", 2, mining, {}],
      ["stage 2 with the decoder and an IoU loss", 2, iou, {}],
      ["stage 2 in chunks, deterministic", 2, { promptChunk: 2 }, { deterministic: true }],
      ["stage 2, everything trained", 2, { ...iou, freezeImageEncoder: false, freezePromptEncoder: false }, {}],
      ["stage 2, the plain decoder", 2, { factoredDecoder: false }, {}],
    ] as const),
  )("%s: learns what the CPU learns", async (_, stage, options, model) => {
    const [cpu, cuda] = [await journey("cpu", stage, options, model), await journey(testGpu, stage, options, model)];
    expectNear(cuda.events[0]?.losses.total_loss, cpu.events[0]?.losses.total_loss, 1e-5);
    // Each step adds the rounding of another order of sums to the weights.
    expectNear(cuda.losses.total_loss, cpu.losses.total_loss, 1e-4);
    expectNear(cuda.validation.losses.total_loss, cpu.validation.losses.total_loss, 1e-4);
    expect(relativeDistance(cuda.change, cpu.change)).toBeLessThan(5e-3);
  });

  // In the first step: later ones of stage 1 may match other queries, where several fit equally well but for rounding.
  test.each([1, 2] as const)("stage %i: bf16 stays near fp32", async (stage) => {
    const [exact, rounded] = [await journey(testGpu, stage), await journey(testGpu, stage, {}, { precision: "bf16" })];
    expectNear(rounded.events[0]?.losses.total_loss, exact.events[0]?.losses.total_loss, 2e-2);
    expect(rounded.events[0]?.losses).not.toEqual(exact.events[0]?.losses);
  });

  test.each(
    rowsHere([
      ["stage 1", 1, {}],
      ["stage 2", 2, mining],
    ] as const),
  )("%s: the same bits twice in deterministic mode", async (_, stage, options) => {
    const exact = { deterministic: true };
    const [once, again] = [await journey(testGpu, stage, options, exact), await journey(testGpu, stage, options, exact)];
    expect(again.digest).toEqual(once.digest);
    expect(again.losses).toEqual(once.losses);
  });

  test.each(
    rowsHere([
      ["plain", {}],
      ["mining", mining],
      ["a trained decoder and an IoU loss", iou],
      ["chunks", { promptChunk: 2 }],
    ] as const),
  )("the fused mask loss and torch's operators agree: %s", async (_, options) => {
    const { cuda_kernels: kernels } = engineCall<{ cuda_kernels: string[] | string }>("info");
    if (!Array.isArray(kernels)) return console.warn(`SKIPPED: no kernels of our own, since ${kernels}`);
    expect(kernels).toContain("mask_losses");
    const fused = await journey(testGpu, 2, options);
    const plain = await journey(testGpu, 2, { ...options, fusedMaskLoss: false });
    for (const [i, step] of plain.events.entries()) {
      for (const [name, value] of Object.entries({ ...step.losses, norm: step.gradNorm })) {
        const got = name === "norm" ? fused.events[i]?.gradNorm : fused.events[i]?.losses[name];
        const near = i === 0 ? 1e-4 : 1e-3; // rounding adds up in the weights
        expect(Math.abs((got as number) - (value as number)), name).toBeLessThan(near * Math.abs(value as number) + 1e-7);
      }
    }
    expect(relativeDistance(fused.change, plain.change)).toBeLessThan(1e-3);
  });

  test("epochs do not grow the memory, and a closed session leaves none", async () => {
    const before = deviceMemory(testGpu)?.allocated ?? 0;
    const peaks: number[] = [];
    {
      await using session = await smallSession({ device: testGpu });
      await session.beginStage({ stage: 2, epochs: 6, stepsPerEpoch: 4 });
      for (let epoch = 0; epoch < 6; epoch++) {
        resetDevicePeak(testGpu);
        await train(session, store, [0, 1, 2], { epoch });
        peaks.push(deviceMemory(testGpu)?.maxAllocated ?? Number.NaN);
      }
    }
    // The first epoch also makes the optimiser's state. Memory that another stream has used is free only once that has been seen.
    expect(peaks.at(-1)).toBeLessThan(1.05 * (peaks[1] as number));
    emptyDeviceCache(testGpu);
    expect((deviceMemory(testGpu)?.allocated ?? Number.NaN) - before).toBeLessThan(workspaces);
  });
});
