// Out of memory and failing kernels on the pretend device, anywhere in a step: the training goes on with a notice, or ends with an
// error that has a code. Nothing is done that would go wrong on a GPU, and nothing hangs.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countWork } from "./count.mjs";
import { fiveTiles } from "./data.js";
import { hasPretendDevice, type PretendReport } from "./pretend.mjs";

const folder = mkdtempSync(join(tmpdir(), "cellsam-faults-"));
let store: string;
beforeAll(async () => {
  store = await fiveTiles(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The number of allocations before the n-th step, and in it. */
function allocations({ spans }: PretendReport, step: number): [before: number, within: number] {
  const counts = spans.filter(({ what }) => what === "step").map((span) => span.allocations);
  return [counts.slice(0, step).reduce((sum, n) => sum + n, 0), counts[step] ?? Number.NaN];
}

const rows = [
  ["stage 1", { stage: 1 }],
  ["stage 2", { stage: 2 }],
] as const;

describe.skipIf(!hasPretendDevice)("a fault on the device", () => {
  test.each(rows)("%s: out of memory at any allocation of a step", async (_, work) => {
    const { report: whole } = await countWork({ store, ...work });
    const [before, within] = allocations(whole, 4);
    for (const share of [0.1, 0.4, 0.7, 0.95]) {
      const nth = before + Math.round(share * within);
      const { report, hazards, output } = await countWork({ store, ...work }, { FAKE_CUDA_FAIL_ALLOCATION: String(nth) });
      expect(report.devices[0]?.outOfMemory, `allocation ${nth}`).toBe(1);
      expect(hazards).toEqual([]);
      const last = output.at(-1) as { error?: string; notices?: string[] };
      if (last.error) expect(last.error).toBe("ERR_OUT_OF_MEMORY");
      else expect(output).toHaveLength(3);
    }
  });

  test.each(rows)("%s: a kernel that fails ends the training", async (_, work) => {
    const failing = { FAKE_CUDA_FAIL_OPERATOR: "aten::addmm.out@40" };
    const { hazards, output } = await countWork({ store, ...work }, failing);
    expect(hazards).toEqual([]);
    expect(output.at(-1)).toMatchObject({
      error: expect.stringMatching(/^ERR_/),
      message: expect.stringMatching(/launch failure/),
    });
  });
});
