// Our CLAHE equals scikit-image's, run live in the Python that CELLSAM_PYTHON names.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { libraryPath, libraryVariable, programCall } from "../programs.js";

const python = process.env.CELLSAM_PYTHON;
if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so CLAHE is not compared with scikit-image");

const script = `
import os, subprocess, sys
import numpy as np
from skimage.exposure import equalize_adapthist
program, path, h, w, libraries = sys.argv[1:3], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
y, x = np.mgrid[:h, :w]
image = np.random.default_rng(1).random((h, w)) * 0.2 + np.sin(x / 9) * np.cos(y / 13) ** 2 + (x > w // 2)
image = (image - image.min()) / (image.max() - image.min())
image.tofile(path)
result = subprocess.run([*program, "equalize", path, str(h), str(w)], capture_output=True, check=True,
                        env={**os.environ, ${JSON.stringify(libraryVariable)}: libraries})
ours = np.frombuffer(result.stdout)
print(np.abs(ours.reshape(h, w) - equalize_adapthist(image, kernel_size=128, clip_limit=0.01, nbins=256)).max())
`;

describe.skipIf(!python)("equalize_adapthist", () => {
  it.each([
    [64, 64],
    [5, 7],
    [129, 300],
    [520, 696],
  ])("%i x %i", (height, width) => {
    const folder = mkdtempSync(join(tmpdir(), "cellsam-"));
    try {
      const args = [...programCall("data_image"), join(folder, "in"), String(height), String(width), libraryPath];
      const difference = Number(execFileSync(python as string, ["-c", script, ...args], { encoding: "utf8" }));
      expect(difference).toBeLessThan(1e-12);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
