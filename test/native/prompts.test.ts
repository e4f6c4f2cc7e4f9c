// Answers to prompts against SAM's decoder in plain Python torch: prompts_python.py. CELLSAM_PYTHON is a Python that has torch
// (default python3); CELLSAM_SKIP_PYTHON=1 leaves this out on purpose.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { programCall, programEnvironment } from "../programs.js";

const skipPython = process.env.CELLSAM_SKIP_PYTHON === "1";
if (skipPython) console.warn("SKIPPED: CELLSAM_SKIP_PYTHON=1, so no Python checks the answers to prompts");

it.skipIf(skipPython)("prompts of every kind have the masks of Python's SAM", () => {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-prompts-"));
  try {
    const file = join(folder, "prompts.safetensors");
    const [binary, program] = programCall("prompts_python_bridge");
    execFileSync(binary, [program, file], { env: programEnvironment });
    const script = join(import.meta.dirname, "prompts_python.py");
    const told = execFileSync(process.env.CELLSAM_PYTHON ?? "python3", [script, file], { encoding: "utf8" });
    expect(told).toBe("48 results of 16 prompts agree\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
