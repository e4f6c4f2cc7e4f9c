// Runs the native test programs of the weights family, and the round trips with real Python torch. CELLSAM_TEST_PROGRAMS names
// the folder of the programs (default build/test), CELLSAM_PYTHON a Python that has torch (default python3);
// CELLSAM_SKIP_PYTHON=1 leaves the Python half out on purpose.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { libraryPath, libraryVariable, programCall } from "../programs.js";

const python = process.env.CELLSAM_PYTHON ?? "python3";
const skipPython = process.env.CELLSAM_SKIP_PYTHON === "1";
if (skipPython) console.warn("SKIPPED: CELLSAM_SKIP_PYTHON=1, so checkpoints are not exchanged with Python");

function run(
  [command, ...args]: [string, ...string[]],
  variables: Record<string, string> = { [libraryVariable]: libraryPath },
): string {
  const done = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, OMP_NUM_THREADS: "1", ...variables } });
  const output = `${done.stdout ?? ""}${done.stderr ?? ""}${done.error?.message ?? ""}`;
  // A signal (a crash, or the alarm that ends a hang) leaves no status.
  expect(done.status, `${command} ended with ${done.signal ?? done.status}\n${output}`).toBe(0);
  return output;
}

describe("weights", () => {
  it("comes back bit by bit, atomically, with coded errors", () => {
    expect(run(programCall("weights"))).toContain("all checks passed");
  });

  it("maps every layout onto a model, or changes nothing", () => {
    expect(run(programCall("weights_layout"))).toContain("all checks passed");
  });

  it("withstands 10 000 damaged and malicious files", () => {
    const output = run(programCall("weights_mutations"));
    expect(output).toContain("all checks passed");
    expect(Number(/^(\d+) files/m.exec(output)?.[1])).toBeGreaterThanOrEqual(10_000);
  });

  it.skipIf(skipPython)("agrees with Python torch in both directions", () => {
    const found = spawnSync(python, ["-c", "import torch"], { encoding: "utf8" });
    if (found.status !== 0) {
      throw new Error(
        `${python} has no torch: set CELLSAM_PYTHON to a Python that has, or CELLSAM_SKIP_PYTHON=1. ${found.stderr ?? ""}`,
      );
    }
    // Python's torch may be of another version: only the program that it starts may see our libtorch.
    const script = join(import.meta.dirname, "weights_python.py");
    const output = run([python, script, ...programCall("weights_python_bridge")], { BRIDGE_LIBRARY_PATH: libraryPath });
    const compared = /(\d+) tensors equal bit by bit/.exec(output);
    expect(Number(compared?.[1])).toBeGreaterThan(400);
  });
});
