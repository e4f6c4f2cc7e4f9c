/**
 * `npm test`: makes the checkout ready, then runs the tests; arguments go to vitest. Tests against the real Python libraries
 * use the Python that CELLSAM_PYTHON names, else an environment of their own under build/.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fail, ready, root } from "./ready.mjs";

const libtorch = ready({ tests: true });
const result = spawnSync(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), "run", ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
  env: {
    ...process.env,
    CELLSAM_LIBTORCH: libtorch,
    CELLSAM_TEST_PROGRAMS: process.env.CELLSAM_TEST_PROGRAMS ?? join(root, "build", "test"),
    ...python(),
  },
});
process.exit(result.status ?? 1);

/** A Python with the reference libraries; without one, the tests that need it print so and are skipped. */
function python() {
  if (process.env.CELLSAM_PYTHON) return {};
  const folder = join(root, "build", "python");
  const windows = process.platform === "win32";
  const executable = windows ? join(folder, "Scripts", "python.exe") : join(folder, "bin", "python");
  if (!existsSync(join(folder, "READY"))) {
    console.log("Installing the Python reference libraries for the tests into build/python");
    /** @type {[command: string, args: string[]][]} */
    const steps = [
      [process.env.PYTHON ?? (windows ? "python" : "python3"), ["-m", "venv", folder]],
      [
        executable,
        [
          "-m",
          "pip",
          "install",
          "--quiet",
          "torch==2.13.0",
          "numpy",
          "scipy",
          "scikit-image",
          "tifffile",
          "safetensors",
          "tensorboard",
          "pycocotools",
        ],
      ],
      [
        executable,
        [
          "-c",
          `import torch, skimage, scipy, tifffile, tensorboard; open(${JSON.stringify(join(folder, "READY"))}, "w").close()`,
        ],
      ],
    ];
    for (const [command, args] of steps) {
      const step = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "pipe"], encoding: "utf8" });
      if (step.status !== 0) {
        const reason = step.stderr?.trim().split("\n").at(-1) ?? step.error?.message;
        if (process.env.CI) fail(`The Python reference libraries could not be installed: ${reason}`);
        console.warn(`WARNING: no Python references: ${reason}`);
        console.warn(
          "WARNING: tests that compare with live Python will be SKIPPED. Set CELLSAM_PYTHON to a Python that has torch.",
        );
        return { CELLSAM_SKIP_PYTHON: "1" };
      }
    }
  }
  return { CELLSAM_PYTHON: executable };
}
