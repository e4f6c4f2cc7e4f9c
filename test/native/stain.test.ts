// Our stain transform equals the steps of the Python module over scikit-image's rgb2hed, run live in the Python that CELLSAM_PYTHON names.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { libraryPath, libraryVariable, programCall } from "../programs.js";

const python = process.env.CELLSAM_PYTHON;
if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so stains are not compared with scikit-image");

/** Prints how many levels we differ by at most, the share of pixels that differ at all, and how many levels occur. */
const script = `
import json, os, subprocess, sys
import numpy as np
from skimage.color import rgb2hed
from skimage.exposure import equalize_adapthist
program, path, libraries, case = sys.argv[1:3], sys.argv[3], sys.argv[4], json.loads(sys.argv[5])
h, w, kind = case["height"], case["width"], case["kind"]
rng = np.random.default_rng(5)
y, x = np.mgrid[:h, :w]
if kind == "tissue":   # three stains in blobs on glass, by the law of Beer and Lambert, with noise
    amounts = np.stack([np.exp(-(((x * a) % 37 - 18) ** 2 + ((y * b) % 41 - 20) ** 2) / 80) for a, b in [(1, 1), (2, 1), (1, 2)]], -1)
    rows = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    light = np.exp(-1.2 * amounts @ rows) * 245 + rng.normal(0, 4, (h, w, 3))
    rgb = np.clip(light, 0, 255).astype(np.uint8)
elif kind == "noise":
    rgb = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
else:                  # one colour everywhere
    rgb = np.empty((h, w, 3), np.uint8); rgb[:] = case["colour"]
source, settings = rgb, case["settings"]
if case.get("deep"):   # 16 bit, by the declared rule first
    source = (rgb.astype(np.uint16) * 90 + rng.integers(0, 90, rgb.shape)).astype(np.uint16)
    if settings.get("intensity") == "full":
        eight = source / 257.0
    else:
        low, high = np.percentile(source, [0.1, 99.9])
        eight = np.clip((source - low) / (high - low), 0, 1) * 255
    rgb = np.floor(eight + 0.5).astype(np.uint8)
source.tofile(path)
words = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()]
result = subprocess.run([*program, "prepare", "u16" if case.get("deep") else "u8", path, str(h), str(w), "3", *words],
                        capture_output=True, check=True, env={**os.environ, ${JSON.stringify(libraryVariable)}: libraries})
ours = np.frombuffer(result.stdout, np.uint8).reshape(3, h, w).astype(int)

stains = rgb2hed(rgb)
def scaled(n):
    n = (n - n.min()) / (n.max() - n.min()) if n.max() > n.min() else np.clip(n, 0, 1)
    return 1 - n if settings.get("inversion") else n
hem, eosin, dab = (scaled(stains[..., i]) for i in range(3))
gamma = settings.get("gamma", 2.1)
expected = np.zeros((3, h, w))
expected[1] = np.trunc(255 * hem ** gamma)
if not settings.get("only_nuclei"):
    expected[2] = np.trunc(255 * np.clip(settings.get("eosin", 0) * eosin + settings.get("dab", 1) * dab, 0, 1) ** gamma)
if settings["normalize"]:
    for c in range(3):
        plane = expected[c]
        if not plane.any(): continue
        plane = np.minimum(plane, np.percentile(plane[plane != 0], 99.9))
        plane = (plane - plane.min()) / (plane.max() - plane.min())
        expected[c] = np.floor(equalize_adapthist(plane, kernel_size=128, clip_limit=0.01, nbins=256) * 255 + 0.5)
difference = np.abs(ours - expected)
print(json.dumps([difference.max(), (difference > 0).mean(), len(np.unique(ours))]))
`;

const cases = [
  { name: "the defaults", kind: "tissue", settings: {} },
  { name: "the README's gamma", kind: "tissue", settings: { gamma: 2.4 } },
  { name: "inverted, eosin and DAB", kind: "tissue", settings: { inversion: true, eosin: 0.7, dab: 0.4, gamma: 1 } },
  { name: "only nuclei, inverted", kind: "noise", settings: { inversion: true, only_nuclei: true, gamma: 1.8 } },
  { name: "eosin alone", kind: "noise", settings: { eosin: 1.5, dab: 0, gamma: 0.7 } },
  { name: "16 bit by percentiles", kind: "tissue", deep: true, settings: { eosin: 0.3 } },
  { name: "16 bit by its full range", kind: "tissue", deep: true, settings: { intensity: "full" } },
  { name: "equalised", kind: "tissue", settings: { normalize: true, eosin: 0.5 } },
  { name: "one colour", kind: "even", colour: [120, 60, 140], settings: { gamma: 1, eosin: 0.5 } },
  { name: "black", kind: "even", colour: [0, 0, 0], settings: { gamma: 1 } },
] as const;

describe.skipIf(!python)("stainTransform equals rgb2hed and its remaining steps", () => {
  it.each(cases)("$name", ({ name: _, ...given }) => {
    const folder = mkdtempSync(join(tmpdir(), "cellsam-"));
    try {
      const settings = { stain_transform: true, normalize: false, ...given.settings };
      const args = [...programCall("data_stain"), join(folder, "in"), libraryPath];
      const words = JSON.stringify({ height: 150, width: 210, ...given, settings });
      const printed = execFileSync(python as string, ["-c", script, ...args, words], { encoding: "utf8" });
      const [largest, share, levels] = JSON.parse(printed) as [number, number, number];
      // Cutting to a whole level may fall on either side where the last bit of a logarithm decides.
      expect(largest).toBeLessThanOrEqual(settings.normalize ? 2 : 1);
      expect(share).toBeLessThan(1e-3);
      expect(levels).toBeGreaterThan(given.kind === "even" ? 0 : 60);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
