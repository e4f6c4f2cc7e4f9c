// The geometry of the complex augmentations equals SciPy's and scikit-image's, run live in the Python that CELLSAM_PYTHON names.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { libraryPath, libraryVariable, programCall } from "../programs.js";

const python = process.env.CELLSAM_PYTHON;
if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so augmentations are not compared with SciPy");

const setUp = `
import json, os, subprocess, sys
import numpy as np
from scipy import ndimage
program, path, libraries, case = sys.argv[1:3], sys.argv[3], sys.argv[4], json.loads(sys.argv[5])
h, w = case["height"], case["width"]
rng = np.random.default_rng(9)
def call(mode, arrays, *words):
    with open(path, "wb") as file:
        for array in arrays: file.write(np.ascontiguousarray(array).tobytes())
    return subprocess.run([*program, mode, path, str(h), str(w), *map(str, words)], capture_output=True, check=True,
                          env={**os.environ, ${JSON.stringify(libraryVariable)}: libraries}).stdout
def pixels():
    image = ndimage.gaussian_filter(rng.random((3, h, w)) * 255, (0, 1, 1)).astype(np.uint8)
    labels = (ndimage.gaussian_filter(rng.normal(size=(h, w)), 4) > 0.02).astype(np.int32)
    labels = ndimage.label(labels)[0].astype(np.int32)
    labels[h // 2:h // 2 + 7, 3:12] = -1
    return image, labels
def split(output):
    return np.frombuffer(output, np.uint8, 3 * h * w).reshape(3, h, w).astype(int), np.frombuffer(output, np.int32, h * w, 3 * h * w).reshape(h, w)
def report(ours, theirs, labels, their_labels):
    # Half way between two levels or two pixels the last bit decides.
    print(json.dumps([np.abs(ours - theirs).max().item(), (ours != theirs).mean().item(), (labels != their_labels).mean().item()]))
`;

const affine = `${setUp}
sy, sx, ly, lx, ty, tx = case["numbers"]
image, labels = pixels()
ours, our_labels = split(call("affine", [image, labels], *case["numbers"]))
forward = np.array([[1, np.tan(np.radians(ly))], [np.tan(np.radians(lx)), 1]]) @ np.diag([sy, sx])
back = np.linalg.inv(forward)
centre = np.array([(h - 1) / 2, (w - 1) / 2])
offset = centre - back @ (centre + [ty * h, tx * w])
def warp(plane, order): return ndimage.affine_transform(plane, back, offset, order=order, mode="grid-constant", cval=0)
theirs = np.stack([np.floor(warp(plane.astype(float), 1) + 0.5) for plane in image])
# The same map in scikit-image's own words, (x, y) and homogeneous.
from skimage.transform import AffineTransform, warp as skwarp
swap = np.eye(3)[[1, 0, 2]]
inverse = np.eye(3); inverse[:2, :2] = back; inverse[:2, 2] = offset
again = skwarp(image[0].astype(float), AffineTransform(swap @ inverse @ swap), order=1, mode="constant", cval=0, preserve_range=True)
assert np.abs(again - warp(image[0].astype(float), 1)).max() < 1e-6
report(ours, theirs, our_labels, warp(labels, 0))
`;

const elastic = `${setUp}
image, labels = pixels()
field = np.frombuffer(call("field", [], 6), np.float32).reshape(2, h, w)
ours, our_labels = split(call("move", [image, labels, field[0], field[1]]))
at = np.mgrid[:h, :w] + field.astype(float)
def warp(plane, order): return ndimage.map_coordinates(plane, at, order=order, mode="grid-constant", cval=0)
theirs = np.stack([np.floor(warp(plane.astype(float), 1) + 0.5) for plane in image])
report(ours, theirs, our_labels, warp(labels, 0))
`;

const smoothing = `${setUp}
noise = rng.normal(size=(h, w)).astype(np.float32)
ours = np.frombuffer(call("smooth", [noise], case["sigma"]), np.float32).reshape(h, w)
print(json.dumps(np.abs(ours - ndimage.gaussian_filter(noise.astype(float), case["sigma"])).max().item()))
`;

describe.skipIf(!python)("complex augmentation", () => {
  function ask<T>(script: string, given: object): T {
    const folder = mkdtempSync(join(tmpdir(), "cellsam-"));
    try {
      const args = [...programCall("augment_warp"), join(folder, "in"), libraryPath, JSON.stringify(given)];
      return JSON.parse(execFileSync(python as string, ["-c", script, ...args], { encoding: "utf8" })) as T;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it.each([
    ["scaling each axis alone", [1.13, 0.87, 0, 0, 0, 0]],
    ["shearing", [1, 1, 4.5, -3, 0, 0]],
    ["shifting by parts of pixels", [1, 1, 0, 0, 0.071, -0.033]],
    ["all at once", [0.91, 1.08, -4.2, 2.7, -0.06, 0.045]],
  ])("%s equals SciPy's and scikit-image's warp", (_, numbers) => {
    const [largest, image, labels] = ask<number[]>(affine, { height: 96, width: 131, numbers });
    expect(largest).toBeLessThanOrEqual(1);
    expect(image).toBeLessThan(1e-3);
    expect(labels).toBeLessThan(1e-3);
  });

  it("elastic deformation equals SciPy's map_coordinates", () => {
    const [largest, image, labels] = ask<number[]>(elastic, { height: 96, width: 131 });
    expect(largest).toBeLessThanOrEqual(1);
    expect(image).toBeLessThan(1e-3);
    expect(labels).toBeLessThan(1e-3);
  });

  it.each([
    [64, 200, 8.4],
    [5, 9, 8.4],
    [1, 40, 2.3],
  ])("the displacement of %i x %i is smoothed as by gaussian_filter, sigma %f", (height, width, sigma) => {
    expect(ask<number>(smoothing, { height, width, sigma })).toBeLessThan(2e-6);
  });
});
