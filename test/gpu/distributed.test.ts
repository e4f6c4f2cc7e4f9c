// Two processes on two pretend GPUs, which train as one does; sums go through main memory.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSession } from "../../lib/engine/session.js";
import { testDevice } from "../device.js";
import { alone, stage1, stage2, together } from "../unit/together.js";
import { changes, ellipses, relativeDistance, smallOptions, storeOf, weightsOf } from "../unit/training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-devices-"));
const store = join(folder, "tiles");
const session = smallOptions({ device: testDevice });
const task = { store, session, indices: [0, 1, 2, 3] };
beforeAll(async () => {
  await storeOf(
    [3, 5, 2, 0].map((count, i) => ellipses(i + 1, count)),
    store,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(testDevice !== "cuda")("two processes on two devices", () => {
  test("train as one process on one does", async () => {
    const weights = async (path?: string) => {
      await using own = await openSession(session);
      if (path) await own.load(path);
      return await weightsOf(own, folder);
    };
    const [one, two] = [join(folder, "one.safetensors"), join(folder, "two.safetensors")];
    await alone(task, one);
    const devices = ["cuda:0", "cuda:1"] as const;
    const outcomes = await together(2, { ...task, devices, stages: [stage1, stage2], validate: true, save: two });
    for (const outcome of outcomes) expect(outcome?.error).toBeUndefined();
    expect(outcomes[0]?.digest).toEqual(outcomes[1]?.digest);
    const initial = await weights();
    // As in test/unit/distributed.test.ts.
    expect(relativeDistance(changes(initial, await weights(two)), changes(initial, await weights(one)))).toBeLessThan(1e-4);
  });
});
