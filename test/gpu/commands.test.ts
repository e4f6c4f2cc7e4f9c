// The commands that a user of a new machine begins with, on pretend GPUs.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import type { Diagnosis } from "../../lib/runtime/doctor.js";
import { hasPretendDevice, pretendEnvironment, readReport } from "./pretend.mjs";

const folder = mkdtempSync(join(tmpdir(), "cellsam-commands-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a command prints there; nothing that it does may go wrong on a GPU. */
async function cellsam(args: string[], settings: Record<string, string> = {}): Promise<string> {
  const path = join(folder, `${args[0]}-report`);
  const main = join(import.meta.dirname, "../../dist/cli/main.js");
  const env = { ...process.env, ...pretendEnvironment({ FAKE_CUDA_REPORT: path, ...settings }) };
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args], { env });
  expect(readReport(path).hazards).toEqual([]);
  return stdout;
}

describe.skipIf(!hasPretendDevice)("with GPUs", () => {
  // Compute capabilities of two H100, and of a T4, which does not multiply bf16.
  test.each([
    [2, "90", "bf16"],
    [1, "75", "fp32"],
  ])("doctor trains both stages on each: %i of compute capability %s in %s", async (count, capability, precision) => {
    const machine = { FAKE_CUDA_DEVICES: String(count), FAKE_CUDA_CAPABILITY: capability };
    const { ok, checks } = JSON.parse(await cellsam(["doctor", "--json"], machine)) as Diagnosis;
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(ok).toBe(true);
    const both = (device: number) => [1, 2].map((stage) => `stage ${stage} on cuda:${device} in ${precision} (size tiny): `);
    const steps = checks.filter(({ name }) => name === "step").map(({ found }) => /^.*?: /.exec(found)?.[0]);
    expect(steps).toEqual([0, 1].slice(0, count).flatMap(both));
    expect(checks.find(({ name }) => name === "kernels")?.found).toMatch(/^own: .*row_column/);
  });

  test("bench measures the one that is asked for", async () => {
    const out = join(folder, "bench.json");
    const flags = ["--size", "tiny", "--device", "cuda:1", "--batch-size", "2", "--seconds", "0.05", "--out", out];
    expect(await cellsam(["bench", ...flags])).toMatch(/^Pretend GPU 1, driver 580\.00\.00 \(CUDA 13\.0\)/m);
    expect(JSON.parse(readFileSync(out, "utf8"))).toMatchObject({
      device: { kind: "cuda", name: "Pretend GPU 1", compute_capability: "9.0" },
      settings: { size: "tiny", precision: "bf16" },
      rows: { length: 6 },
    });
  });
});
