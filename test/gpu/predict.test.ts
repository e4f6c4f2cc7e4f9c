// A prediction on a GPU finds what the CPU finds.
import { describe, expect, test } from "vitest";
import type { Device } from "../../lib/engine/session.js";
import { openPredictor } from "../../lib/predict/predictor.js";
import { rowsHere, testGpu } from "../device.js";
import { image } from "./data.js";
import { gpu } from "./gpu.js";

async function predict(device: Device, precision: "fp32" | "bf16" = "fp32") {
  await using predictor = await openPredictor({ weights: "cellsam-tiny", device, precision, threads: 1 });
  return await predictor.predict(await predictor.read(image));
}

describe.skipIf(!gpu)("a GPU", () => {
  // A pixel may change sides where the mask's logit is 0 but for rounding.
  test.each(
    rowsHere([
      ["fp32", 1e-3, 1e-3],
      ["bf16", 2e-2, 2e-2],
    ] as const),
  )("%s: the cells of the CPU", async (precision, pixels, near) => {
    const [cpu, cuda] = [await predict("cpu"), await predict(testGpu, precision)];
    expect(cpu.count).toBeGreaterThan(10);
    expect(cuda.count).toBe(cpu.count);
    const foreground = cpu.labels.data.filter((id) => id > 0).length;
    const changed = cpu.labels.data.filter((id, i) => id > 0 !== (cuda.labels.data[i] as number) > 0).length;
    expect(changed / foreground).toBeLessThan(pixels);
    for (const [i, score] of cpu.scores.data.entries())
      expect(Math.abs((cuda.scores.data[i] as number) - score)).toBeLessThan(near);
  });
});
