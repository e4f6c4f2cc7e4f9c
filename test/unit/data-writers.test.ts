/** Cells written for other programs, and read again: by our own readers, by pycocotools and by scikit-image. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { unzipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeLabels } from "../../lib/data/decode.js";
import { packCounts, unpackCounts } from "../../lib/data/formats/rle.js";
import type { Ring } from "../../lib/data/objects.js";
import { Random } from "../../lib/data/random.js";
import { fillPolygon } from "../../lib/data/raster.js";
import { writeLabels } from "../../lib/data/write.js";
import { openCellTableWriter } from "../../lib/data/writers/cellTable.js";
import { openCocoWriter } from "../../lib/data/writers/coco.js";
import { writeGeojson } from "../../lib/data/writers/geojson.js";
import { writeRoiZip } from "../../lib/data/writers/imagejRoi.js";
import { type CellPolygons, toPolygons } from "../../lib/data/writers/polygons.js";
import type { Segmentation } from "../../lib/data/writers/segmentation.js";

const python = process.env.CELLSAM_PYTHON;
if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so pycocotools and scikit-image look at nothing");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-writers-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Labels = { data: Int32Array; shape: [number, number] };

/** A label map drawn with letters: "." is background, "a" is 1. */
function drawn(...rows: string[]): Labels {
  const data = Int32Array.from(rows.join(""), (letter) => (letter === "." ? 0 : letter.charCodeAt(0) - 96));
  return { data, shape: [rows.length, rows[0]?.length ?? 0] };
}

/** Noise of a few ids: parts that touch at corners, holes, holes in holes, cells at every edge. Every id up to `ids` occurs. */
function noise(seed: number, height: number, width: number, ids: number): Labels {
  const random = new Random(seed);
  const data = Int32Array.from({ length: height * width }, () => Math.floor(random.uniform() * (ids + 1)));
  for (let id = 1; id <= ids; id++) data[id * 3] = id;
  return { data, shape: [height, width] };
}

/** Discs of many sizes, as cells look, the later ones on top. */
function discs(seed: number, side: number, count: number): Labels {
  const random = new Random(seed);
  const data = new Int32Array(side * side);
  for (let id = 1; id <= count; id++) {
    const [cx, cy, r] = [random.uniform() * side, random.uniform() * side, 2 + random.uniform() * 9];
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) if ((x - cx) ** 2 + (y - cy) ** 2 <= r * r) data[y * side + x] = id;
  }
  // Ids without gaps, as predictions have them.
  const kept = [...new Set(data)].filter((id) => id > 0).sort((a, b) => a - b);
  return { data: data.map((id) => kept.indexOf(id) + 1), shape: [side, side] };
}

const maps: [string, Labels][] = [
  ["a ring around a cell of two parts", drawn("aaaaa", "ab.ba", "a.b.a", "aaaaa")],
  ["a pocket that is closed by a corner only", drawn(".aa", "a.a", "aaa")],
  ["parts that touch at a corner", drawn("a..", ".a.", "..a")],
  ["one pixel", drawn("a")],
  ["nothing", drawn("..", "..")],
  ["noise of one id", noise(1, 40, 53, 1)],
  ["noise of three ids", noise(2, 64, 37, 3)],
  ["discs", discs(3, 120, 60)],
];

function scored(labels: Labels): Segmentation {
  const count = Math.max(0, ...labels.data);
  return { labels, scores: { data: Float64Array.from({ length: count }, (_, i) => 1 - i / (2 * count + 2)) } };
}

function painted(polygons: readonly (readonly Ring[])[], id: number, { data, shape }: Labels): void {
  for (const polygon of polygons)
    fillPolygon(polygon, shape, (row, from, to) => data.fill(id, row * shape[1] + from, row * shape[1] + to));
}

const blank = ({ shape }: Labels): Labels => ({ data: new Int32Array(shape[0] * shape[1]), shape });

describe("toPolygons", () => {
  it("goes along the edges of pixels, holes the other way round", () => {
    expect(toPolygons(drawn("....", ".aaa", ".a.a", ".aaa"))).toEqual([
      {
        id: 1,
        polygons: [[Int32Array.of(4, 1, 4, 4, 1, 4, 1, 1, 4, 1), Int32Array.of(3, 3, 3, 2, 2, 2, 2, 3, 3, 3)]],
      },
    ]);
  });

  it("makes a part of a cell a polygon, also where parts meet at a corner", () => {
    const [{ polygons }] = toPolygons(drawn("a..", ".a.", "..a")) as [CellPolygons];
    expect(polygons.map((rings) => rings.length)).toEqual([1, 1, 1]);
    // The pocket is open at a corner of pixels only: a hole that touches the outline in one point.
    const [pocket] = toPolygons(drawn(".aa", "a.a", "aaa")) as [CellPolygons];
    expect(pocket.polygons.map((rings) => rings.length)).toEqual([2]);
  });

  it.each(maps)("%s: closed simple rings that paint the same labels", (_, labels) => {
    const again = blank(labels);
    for (const { id, polygons } of toPolygons(labels)) {
      painted(polygons, id, again);
      let twice = 0;
      for (const ring of polygons.flat()) {
        const points = Array.from({ length: ring.length / 2 }, (_, i) => `${ring[2 * i]},${ring[2 * i + 1]}`);
        expect(points[0]).toBe(points.at(-1));
        expect(new Set(points).size).toBe(points.length - 1);
        for (let i = 0; i + 3 < ring.length; i += 2)
          twice += (ring[i] as number) * (ring[i + 3] as number) - (ring[i + 2] as number) * (ring[i + 1] as number);
      }
      // Outer rings count, holes are taken away: their directions differ.
      expect(twice / 2).toBe(labels.data.filter((value) => value === id).length);
    }
    expect(again).toEqual(labels);
  });

  it("skips background and regions to ignore, and refuses labels that do not fill their shape", () => {
    expect(toPolygons({ data: Int32Array.of(0, -1, 7), shape: [1, 3] }).map(({ id }) => id)).toEqual([7]);
    expect(() => toPolygons({ data: Int32Array.of(1, 2), shape: [1, 3] })).toThrow(/\[1, 3\] cannot hold 2/);
  });
});

describe("GeoJSON", () => {
  it.each(maps)("%s comes back", async (_, labels) => {
    const path = join(folder, "map.geojson");
    await writeGeojson(path, scored(labels));
    const back = await decodeLabels(path, { annotation: "geojson", size: labels.shape });
    expect(back).toMatchObject({ shape: labels.shape, notes: [] });
    expect(back.data).toEqual(labels.data);
  });

  it("is what QuPath imports: detections with class, name and measurements", async () => {
    const path = join(folder, "one.geojson");
    await writeGeojson(
      path,
      { labels: drawn("aa.", "..b"), scores: { data: [0.75, Number.NaN] } },
      { classification: "Nucleus" },
    );
    const properties = { objectType: "detection", classification: { name: "Nucleus" } };
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
      type: "FeatureCollection",
      features: [
        {
          type: "Feature",
          geometry: {
            type: "Polygon",
            coordinates: [
              [
                [2, 0],
                [2, 1],
                [0, 1],
                [0, 0],
                [2, 0],
              ],
            ],
          },
          properties: { ...properties, name: "1", measurements: { area: 2, score: 0.75 } },
        },
        {
          type: "Feature",
          geometry: {
            type: "Polygon",
            coordinates: [
              [
                [3, 1],
                [3, 2],
                [2, 2],
                [2, 1],
                [3, 1],
              ],
            ],
          },
          properties: { ...properties, name: "2", measurements: { area: 1 } },
        },
      ],
    });
  });
});

describe("COCO", () => {
  it("packs counts of every size as unpackCounts takes them", () => {
    const counts = [0, 1, 5, 16, 31, 32, 1000, 3, 2 ** 28, 7, 0, 2 ** 27];
    expect(unpackCounts(packCounts(counts))).toEqual(counts);
  });

  it("comes back, all images from one file", async () => {
    const path = join(folder, "coco.json");
    const coco = await openCocoWriter(path);
    for (const [name, labels] of maps) await coco.add(`${name}.png`, scored(labels));
    await coco.commit();
    for (const [name, labels] of maps) {
      const back = await decodeLabels(path, { annotation: "coco", item: `${name}.png` });
      expect([name, back.shape, back.data]).toEqual([name, labels.shape, labels.data]);
    }
  });

  it.skipIf(!python)("is what pycocotools reads and writes", async () => {
    const path = join(folder, "pycocotools.json");
    const coco = await openCocoWriter(path);
    for (const [i, [, labels]] of maps.entries()) {
      await writeLabels(join(folder, `coco_${i}.tif`), labels);
      await coco.add(`coco_${i}.tif`, scored(labels));
    }
    await coco.commit();
    const script = `
import sys, json, numpy as np, tifffile
from contextlib import redirect_stdout
from pycocotools import mask
from pycocotools.coco import COCO
with redirect_stdout(sys.stderr):
    coco = COCO(sys.argv[1] + "/pycocotools.json")
seen = 0
for image in coco.loadImgs(coco.getImgIds()):
    truth = tifffile.imread(sys.argv[1] + "/" + image["file_name"])
    assert truth.shape == (image["height"], image["width"])
    for a in coco.loadAnns(coco.getAnnIds(image["id"])):
        m = coco.annToMask(a)
        assert (m == (truth == a["cell_id"])).all()
        encoded = mask.encode(np.asfortranarray(m))
        assert encoded["counts"].decode() == a["segmentation"]["counts"]
        assert a["area"] == mask.area(encoded) and a["bbox"] == mask.toBbox(encoded).tolist()
        assert 0.5 <= a["score"] <= 1 and a["iscrowd"] == 0 and a["category_id"] == 1
        seen += 1
print(json.dumps(seen))`;
    const seen = JSON.parse(
      execFileSync(python ?? "", ["-c", script, folder], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
    );
    expect(seen).toBe(maps.reduce((sum, [, { data }]) => sum + Math.max(...data), 0));
  });
});

describe("the table of cells", () => {
  const image = (labels: Labels, channels: number) => ({
    data: Uint16Array.from({ length: labels.data.length * channels }, (_, i) => (i * 7919) % 4096),
    shape: channels === 1 ? labels.shape : [...labels.shape, channels],
  });

  it("has a row a cell, and quotes names", async () => {
    const path = join(folder, "cells.csv");
    const table = await openCellTableWriter(path, { channels: 2 });
    const labels = drawn("aa.", "..b");
    await table.add('a "b", c', { labels, scores: { data: [0.5, 0.25] } }, { data: [1, 2, 3, 4, 5, 6], shape: [2, 3] });
    await table.add("d", { labels });
    await table.commit();
    const text = readFileSync(path, "utf8");
    expect(text).toMatch(/\r\n$/);
    const [first, , third] = parse(text, { columns: true }) as Record<string, string>[];
    expect(first).toEqual({
      image: 'a "b", c',
      id: "1",
      centroid_x: "0.5",
      centroid_y: "0",
      area: "2",
      perimeter: "0",
      x_min: "0",
      y_min: "0",
      x_max: "2",
      y_max: "1",
      score: "0.5",
      predicted_iou: "",
      mean_intensity_0: "1.5",
      mean_intensity_1: "",
    });
    expect(third).toMatchObject({ image: "d", score: "", mean_intensity_0: "" });
  });

  it("refuses an image of another size, and leaves no file", async () => {
    const path = join(folder, "none.csv");
    const table = await openCellTableWriter(path);
    await expect(table.add("a", { labels: drawn("a.") }, { data: [1], shape: [1, 1] })).rejects.toMatchObject({
      code: "ERR_SIZE_MISMATCH",
    });
    await table.discard();
    expect((await readdir(folder)).filter((name) => name === "none.csv" || name.endsWith(".tmp"))).toEqual([]);
  });

  it.skipIf(!python)("has scikit-image's numbers", async () => {
    const path = join(folder, "regionprops.csv");
    const table = await openCellTableWriter(path, { channels: 3 });
    for (const [i, [, labels]] of maps.entries()) {
      await writeLabels(join(folder, `table_${i}.tif`), labels);
      const pixels = image(labels, 3);
      await writeFile(join(folder, `table_${i}.raw`), pixels.data);
      await table.add(`table_${i}`, scored(labels), pixels);
    }
    await table.commit();
    const script = `
import sys, json, os, numpy as np, tifffile
from skimage.measure import regionprops
rows = []
for i in range(int(sys.argv[2])):
    labels = tifffile.imread(f"{sys.argv[1]}/table_{i}.tif").astype("i4")
    pixels = np.fromfile(f"{sys.argv[1]}/table_{i}.raw", "u2").reshape(*labels.shape, 3)
    for r in regionprops(labels, pixels):
        y0, x0, y1, x1 = r.bbox
        rows.append([r.label, r.centroid[1], r.centroid[0], r.area, r.perimeter, x0, y0, x1, y1, *r.intensity_mean])
print(json.dumps(rows))`;
    const wanted = JSON.parse(
      execFileSync(python ?? "", ["-c", script, folder, String(maps.length)], { encoding: "utf8" }),
    ) as number[][];
    const rows = parse(readFileSync(path, "utf8"), { columns: true }) as Record<string, string>[];
    expect(rows.length).toBe(wanted.length);
    for (const [i, row] of rows.entries()) {
      const { image: _image, score: _score, predicted_iou: _iou, ...numbers } = row;
      for (const [k, value] of Object.values(numbers).entries()) expect(Number(value)).toBeCloseTo(wanted[i]?.[k] as number, 4);
    }
  });
});

/** A .roi as ImageJ's documentation of RoiDecoder describes it: name, bounds, and rings in pixels of the image. */
function decodeRoi(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  expect(String.fromCharCode(...bytes.subarray(0, 4))).toBe("Iout");
  const type = bytes[6];
  const [top, left, bottom, right] = [8, 10, 12, 14].map((at) => view.getUint16(at)) as [number, number, number, number];
  const rings: number[][] = [];
  const floats = view.getUint32(36);
  if (floats > 0) {
    expect(type).toBe(1);
    for (let i = 0; i < floats; ) {
      const kind = view.getFloat32(64 + 4 * i++);
      if (kind === 4) continue;
      if (kind === 0) rings.push([]);
      expect([0, 1]).toContain(kind);
      rings.at(-1)?.push(view.getFloat32(64 + 4 * i++), view.getFloat32(64 + 4 * i++));
    }
  } else {
    expect(type).toBe(8);
    const n = view.getUint16(16);
    rings.push(
      Array.from({ length: 2 * n }, (_, i) => view.getUint16(64 + 2 * (i >> 1) + 2 * n * (i % 2)) + (i % 2 ? top : left)),
    );
  }
  const second = view.getUint32(60);
  const [offset, length] = [view.getUint32(second + 16), view.getUint32(second + 20)];
  const name = Array.from({ length }, (_, i) => String.fromCharCode(view.getUint16(offset + 2 * i))).join("");
  expect(offset + 2 * length).toBe(bytes.length);
  return { name, bounds: [left, top, right, bottom], rings };
}

describe("ImageJ's RoiSet.zip", () => {
  it.each(maps)("%s comes back", async (_, labels) => {
    const path = join(folder, "RoiSet.zip");
    await writeRoiZip(path, scored(labels));
    const files = Object.entries(unzipSync(readFileSync(path)));
    const again = blank(labels);
    for (const [file, bytes] of files) {
      const { name, bounds, rings } = decodeRoi(bytes);
      expect(file).toBe(`${name}.roi`);
      painted([rings], Number(name), again);
      const [xs, ys] = [rings.flat().filter((_, i) => i % 2 === 0), rings.flat().filter((_, i) => i % 2 === 1)];
      expect(bounds).toEqual([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]);
    }
    expect(again).toEqual(labels);
  });

  it.each(maps)("%s comes back through our own reader", async (_, labels) => {
    const path = join(folder, "own_RoiSet.zip");
    await writeRoiZip(path, scored(labels));
    // A zip without regions is no annotation.
    if (!labels.data.some((id) => id > 0)) return;
    const back = await decodeLabels(path, { annotation: "imagej_roi", size: labels.shape });
    expect([back.shape, back.data]).toEqual([labels.shape, labels.data]);
  });

  it("keeps ids in the names, sorted", async () => {
    const path = join(folder, "ids.zip");
    await writeRoiZip(path, { labels: { data: Int32Array.of(3, 0, 12345), shape: [1, 3] } });
    expect(Object.keys(unzipSync(readFileSync(path)))).toEqual(["00003.roi", "12345.roi"]);
  });

  it("refuses what its counters cannot hold", async () => {
    const labels = { data: Int32Array.from({ length: 65536 }, (_, i) => i + 1), shape: [256, 256] };
    await expect(writeRoiZip(join(folder, "many.zip"), { labels })).rejects.toMatchObject({ code: "ERR_LABEL_VALUES" });
    const wide = { data: new Int32Array(60536).fill(1), shape: [1, 60536] };
    await expect(writeRoiZip(join(folder, "wide.zip"), { labels: wide })).rejects.toThrow(/60536 pixels/);
  });
});
