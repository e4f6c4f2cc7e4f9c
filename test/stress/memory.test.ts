// 200 times: open a model, train a step of each stage, close it. Resident memory stays flat and nothing is left alive.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { engineCall, liveObjects } from "../../lib/engine/native.js";
import { openSession } from "../../lib/engine/session.js";
import { realTraining } from "./training.js";

const cycles = Number(process.env.CELLSAM_STRESS_CYCLES ?? 200);
/** Glibc and torch keep some blocks for the next time; what grows with every cycle is a leak. */
const warmUp = 50;
const allowedBytesPerCycle = 32 * 1024;

// Garbage that JavaScript has not collected yet grows for hundreds of cycles, and is no leak.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Least squares: bytes per cycle. */
function slope(values: number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let products = 0;
  let squares = 0;
  for (const [i, value] of values.entries()) {
    products += (i - middle) * (value - mean);
    squares += (i - middle) ** 2;
  }
  return products / squares;
}

test(`${cycles} train and dispose cycles leave nothing behind`, async () => {
  const { open, train } = await realTraining(4);
  const indices = Int32Array.of(0, 1, 2, 3);
  const resident: number[] = [];
  for (let i = 0; i < cycles; i++) {
    const session = await openSession({ size: open.size, overrides: open.overrides, threads: 1, seed: i });
    for (const stage of [1, 2] as const) {
      await session.beginStage({ stage, epochs: 1, stepsPerEpoch: 1 });
      const report = await session.trainEpoch({
        store: train.store,
        indices,
        epoch: 1,
        batchSize: 4,
        augment: true,
      });
      expect(report.step).toBe(1);
    }
    await session.dispose();
    collect();
    resident.push(process.memoryUsage().rss);
  }
  expect(liveObjects()).toMatchObject({ sessions: 0, jobs: 0, borrowed: 0 });
  expect(engineCall<{ live_objects: number }>("info").live_objects).toBe(0);
  const bytes = slope(resident.slice(Math.min(warmUp, cycles / 2)));
  console.log(`resident memory: ${((resident.at(-1) ?? 0) / 2 ** 20).toFixed(1)} MiB, ${Math.round(bytes)} bytes per cycle`);
  expect(bytes).toBeLessThan(allowedBytesPerCycle);
});
