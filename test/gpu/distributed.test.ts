// Two processes on two GPUs, or on one, train as one process does. On pretend GPUs a stand-in does the work of NCCL.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Device, openSession } from "../../lib/engine/session.js";
import { testDevice } from "../device.js";
import { alone, stage1, stage2, together } from "../unit/together.js";
import { changes, ellipses, relativeDistance, smallOptions, storeOf, weightsOf } from "../unit/training-tiles.js";
import { readReport } from "./pretend.mjs";

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

/** How often the processes that have ended had the GPUs sum; null where they are no pretend ones. */
function sums(): number | null {
  const report = process.env.FAKE_CUDA_REPORT;
  if (!report) return null;
  return readReport(report).processes.reduce((sum, { total }) => sum + (total.operators?.["nccl::all_reduce"] ?? 0), 0);
}

describe.skipIf(testDevice !== "cuda")("two processes", () => {
  const weights = async (path?: string) => {
    await using own = await openSession(session);
    if (path) await own.load(path);
    return await weightsOf(own, folder);
  };
  const one = join(folder, "one.safetensors");
  beforeAll(() => alone(task, one));

  test.each<[string, readonly Device[]]>([
    ["on two devices, which sum by NCCL", ["cuda:0", "cuda:1"]],
    ["on one device, where NCCL refuses to", ["cuda:0", "cuda:0"]],
  ])("%s, train as one does", async (_, devices) => {
    const before = sums();
    const two = join(folder, "two.safetensors");
    const outcomes = await together(2, { ...task, devices, stages: [stage1, stage2], validate: true, save: two });
    for (const outcome of outcomes) expect(outcome?.error).toBeUndefined();
    expect(outcomes[0]?.digest).toEqual(outcomes[1]?.digest);
    const initial = await weights();
    // As in test/unit/distributed.test.ts.
    expect(relativeDistance(changes(initial, await weights(two)), changes(initial, await weights(one)))).toBeLessThan(1e-4);

    const refused = devices[0] === devices[1];
    // In each process and stage one that tries, and one for each of two epochs' updates, which are one of four batches.
    if (before !== null) expect((sums() as number) - before).toBe(refused ? 0 : 2 * 2 * (1 + 2));
    const notice = /through main memory, since NCCL cannot be used: NCCL error.*\s.*Duplicate GPU/;
    for (const outcome of outcomes)
      expect(outcome?.notices).toEqual(refused ? [1, 2].map(() => expect.stringMatching(notice)) : []);
  });
});
