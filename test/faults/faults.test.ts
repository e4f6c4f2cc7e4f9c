// A few of the faults that `node test/faults/run.mjs` tries at every operation: killed, and without disk space.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileShim, FaultTest, type Scenario } from "./faults.mjs";
import { scenarios } from "./scenarios.mjs";

describe.skipIf(process.platform !== "linux")("a fault at an operation on files", () => {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-faults-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let library: string;
  let all: Scenario[];
  beforeAll(async () => {
    library = compileShim(folder);
    all = await scenarios(folder);
  });

  it.each(["train", "predict"])(
    "of %s ends with a code, and --resume or another try comes to the same files",
    (name) => {
      const test = new FaultTest(library, all.find((scenario) => scenario.name === name) as Scenario, folder);
      expect(test.operations).toBeGreaterThan(10);
      const places = [0.2, 0.55, 0.9].map((share) => Math.round(share * test.operations));
      const wrong = places.flatMap((at) => [test.tryAt("kill", at), test.tryAt("full", at), test.tryAt("full-once", at)]);
      expect(wrong.filter((problem) => problem !== null)).toEqual([]);
    },
    300_000,
  );
});
