import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import { writeLabels, writeRgbPng } from "../../lib/data/write.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-write-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** [H,W], a row an id, evenly up to `highest`; 600 rows so that a TIFF has several strips. */
function ladder(highest: number, height = 600, width = 7) {
  const id = (i: number) => Math.round((Math.floor(i / width) * highest) / (height - 1));
  return { data: Int32Array.from({ length: height * width }, (_, i) => id(i)), shape: [height, width] as const };
}

describe("writeLabels", () => {
  const cases: [name: string, highest: number][] = [
    ["a.png", 65535],
    ["b.tif", 65535],
    ["c.tiff", 65536],
    ["d.tif", 2147483647],
    ["e.npy", 2147483647],
    ["f.TIF", 3],
  ];

  it.each(cases)("D34: %s comes back with ids up to %i", async (name, highest) => {
    const labels = ladder(highest);
    await writeLabels(join(folder, name), labels);
    const back = await decodeLabels(join(folder, name));
    expect(back.shape).toEqual(labels.shape);
    expect(Buffer.compare(Buffer.from(back.data.buffer), Buffer.from(labels.data.buffer))).toBe(0);
  });

  const python = process.env.CELLSAM_PYTHON;
  if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so no Python reader looks at the files that are written");
  it.skipIf(!python)("Python reads the same ids and sample types", async () => {
    const listed = [...cases, ["one-strip.tif", 70000] as [string, number]];
    for (const [name, highest] of listed)
      await writeLabels(join(folder, name), name.startsWith("one") ? ladder(highest, 20, 9) : ladder(highest));
    const script = `
import sys, json, numpy as np, tifffile
from PIL import Image
from skimage import io
out = []
for name in sys.argv[2:]:
    path = sys.argv[1] + "/" + name
    readers = [np.load] if name.endswith("npy") else [lambda p: np.asarray(Image.open(p)), io.imread if name.endswith("png") else tifffile.imread]
    # Pillow reads 32-bit unsigned TIFF as signed; ids never reach the sign.
    arrays = [read(path) for read in readers]
    assert all((a.astype("i8") == arrays[0]).all() for a in arrays)
    a = arrays[-1]
    out.append([name, a.dtype.name, list(a.shape), int(a.max()), int(a.astype("i8").sum()), int(a[-1, -2])])
print(json.dumps(out))`;
    const rows = JSON.parse(
      execFileSync(python ?? "", ["-c", script, folder, ...listed.map(([name]) => name)], { encoding: "utf8" }),
    );
    for (const [i, [name, highest]] of listed.entries()) {
      const { data, shape } = name.startsWith("one") ? ladder(highest, 20, 9) : ladder(highest);
      const type = name.endsWith("npy") ? "int32" : highest > 65535 ? "uint32" : "uint16";
      expect(rows[i]).toEqual([name, type, [...shape], highest, data.reduce((a, b) => a + b, 0), data.at(-2)]);
    }
  });

  it("refuses what the format cannot hold, and leaves nothing behind", async () => {
    await expect(writeLabels(join(folder, "no.png"), ladder(65536))).rejects.toThrow(/\.tif/);
    await expect(writeLabels(join(folder, "no.tif"), { data: Int32Array.of(-1), shape: [1, 1] })).rejects.toMatchObject({
      code: "ERR_LABEL_VALUES",
    });
    await expect(writeLabels(join(folder, "no.tif"), { data: Int32Array.of(1), shape: [1, 2] })).rejects.toMatchObject({
      code: "ERR_LABEL_VALUES",
    });
    await expect(writeLabels(join(folder, "no.jpg"), ladder(5))).rejects.toMatchObject({ code: "ERR_FILE" });
    await writeLabels(join(folder, "taken/x.png"), ladder(5));
    await expect(writeLabels(join(folder, "taken/x.png/y.png"), ladder(5))).rejects.toMatchObject({ code: "ERR_FILE" });
    // The target is a folder, so the last step, the rename, fails.
    await mkdir(join(folder, "folder.png"));
    await expect(writeLabels(join(folder, "folder.png"), ladder(5))).rejects.toMatchObject({ code: "ERR_FILE" });
    expect(
      (await readdir(folder, { recursive: true })).filter((name) => name.startsWith("no.") || name.endsWith(".tmp")),
    ).toEqual([]);
  });

  it("writes under a name of 255 bytes", async () => {
    const path = join(folder, `${"x".repeat(251)}.png`);
    await writeLabels(path, ladder(5));
    expect((await decodeLabels(path)).count).toBe(5);
  });
});

it("writeRgbPng keeps colours in place", async () => {
  await writeRgbPng(join(folder, "rgb.png"), Uint8Array.of(1, 2, 3, 4, 5, 6), 2, 1);
  const { data, shape } = await decodeImage(join(folder, "rgb.png"));
  expect([shape, [...data]]).toEqual([
    [2, 1, 3],
    [1, 2, 3, 4, 5, 6],
  ]);
});
