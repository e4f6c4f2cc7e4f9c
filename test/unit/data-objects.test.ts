// Which drawn objects are cells: the rules that hold for every kind of annotation.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadDataset } from "../../lib/data/dataset.js";
import { objectsToLabels } from "../../lib/data/objectRules.js";
import type { DrawnObject } from "../../lib/data/objects.js";
import type { Tally } from "../../lib/data/problem.js";
import type { CellsamError } from "../../lib/errors.js";
import { centres, closed, disc, picture, rectangle, side, write } from "./drawn-objects.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-objects-"));
});
afterEach(() => rm(root, { recursive: true }));

const size = [side, side] as const;
const object = (name: string, ring: number[], extra: Partial<DrawnObject> = {}): DrawnObject => ({
  name,
  outline: { polygons: [[ring]] },
  ...extra,
});
const cells = (change = (x: number, y: number): [number, number] => [x, y], radius = 6) =>
  centres.map(([x, y], i) => object(`cell ${i + 1}`, disc(...change(x, y), radius)));
const paint = (objects: DrawnObject[], options: Parameters<typeof objectsToLabels>[2] = {}) =>
  objectsToLabels({ objects }, size, options);
function refused(work: () => unknown): Tally[] {
  try {
    work();
  } catch (error) {
    expect((error as CellsamError).code).toBe("ERR_ANNOTATION");
    return (error as CellsamError).detail.tallies as Tally[];
  }
  throw new Error("it was accepted");
}
const areaOf = (data: Int32Array, id: number) => data.reduce((sum, value) => sum + Number(value === id), 0);

describe("objects that contain others", () => {
  it.each([
    ["a rectangle, written last", [...cells(), object("field", rectangle(1, 1, 126, 126))]],
    ["a tissue outline, written first", [object("tissue", disc(64, 64, 85, 200)), ...cells()]],
    [
      "a field within the tissue",
      [object("tissue", disc(64, 64, 85, 200)), object("field", rectangle(2, 2, 120, 120)), ...cells()],
    ],
    [
      "two fields with half of the cells each",
      [object("upper", rectangle(0, 0, 128, 62)), object("lower", rectangle(0, 62, 128, 62)), ...cells()],
    ],
  ])("%s: a region, left out with a note, and every cell keeps its area", (_, objects) => {
    const map = paint(objects);
    expect(map.count).toBe(14);
    const regions = objects.length - 14;
    expect(map.tallies).toMatchObject([{ what: expect.stringMatching(/contain nearly all others: regions/), count: regions }]);
    // A disc of radius 6 has 113.1 pixels; ids are in the order of the file.
    for (let id = 1; id <= 14; id++) expect(Math.abs(areaOf(map.data, id) - 113)).toBeLessThan(6);
    expect(map.data[20 * side + 20]).toBe(1);
    expect(map.data[20 * side + 48]).toBe(2);
  });

  it("a cell with its nucleus, or with two, is no region", () => {
    const large = object("cell", disc(64, 64, 40));
    const nuclei = [object("nucleus", disc(64, 50, 8)), object("other nucleus", disc(64, 80, 8))];
    expect(paint([large, ...nuclei.slice(0, 1)]).count).toBe(2);
    const map = paint([...nuclei, large]);
    expect([map.count, map.data[50 * side + 64], map.data[80 * side + 64], map.data[64 * side + 40]]).toEqual([3, 1, 2, 3]);
  });

  it("an object that contains several others among many is told", () => {
    const holder = object("giant", disc(48, 34, 39, 80));
    const map = paint([holder, ...cells()]);
    expect(map.count).toBe(15);
    expect(map.tallies?.find(({ what }) => what.includes("3 or more others"))).toMatchObject({ count: 1, names: ["giant"] });
  });
});

describe("objects drawn twice", () => {
  it.each([
    [0, 0],
    [0.7, 0.7],
    [1, -1.2],
  ])("shifted by %d, %d count once", (dx, dy) => {
    const second = cells((x, y) => [x + dx, y + dy]);
    const map = paint([...cells(), ...second]);
    expect(map.count).toBe(14);
    expect(map.tallies).toMatchObject([{ what: expect.stringContaining("drawn twice"), count: 14, of: 28 }]);
    expect(Math.abs(areaOf(map.data, 3) - 113)).toBeLessThan(6);
  });

  it("neighbours that overlap, and a nucleus that fills much of its cell, stay two", () => {
    expect(paint([object("a", disc(40, 40, 10)), object("b", disc(50, 40, 10))]).tallies).toEqual([]);
    const inside = [
      object("a", disc(40, 40, 10), { category: "cell" }),
      object("b", disc(40, 40, 8.5), { category: "nucleus" }),
    ];
    expect(paint(inside).count).toBe(2);
  });
});

describe("coordinates of another picture", () => {
  it("of a whole slide: refused with the range of x and y", () => {
    const [outside] = refused(() => paint(cells((x, y) => [x + 100, y + 3000])));
    expect(outside).toMatchObject({ what: "objects outside the image", count: 14, of: 14 });
    // Discs at 20..104 with radius 6, shifted.
    expect(outside?.hint).toMatch(/x 114 to 210, y 3014 to 3110; the image is 128 wide and 128 high.*another picture/);
  });

  it.each([2, 4, 8])("of a picture %d times as large: refused, and the factor is said", (times) => {
    const [outside] = refused(() => paint(cells((x, y) => [x * times * 1.15, y * times * 1.15], 6 * times)));
    expect(outside?.hint).toContain(`of a picture ${times} times as large`);
  });

  it.each([2, 4, 8])("of a picture %d times smaller: told", (times) => {
    // Discs that end at 110, or at 126, of 128 pixels.
    for (const reach of [1, 1.15]) {
      const map = paint(cells((x, y) => [(x * reach) / times, (y * reach) / times], 6 / times));
      const corner = map.tallies?.find(({ what }) => what.includes("upper left corner"));
      expect(corner?.what).toContain(`${times} times smaller`);
    }
  });

  it("fractions of the image are refused with that reason", () => {
    const [small] = refused(() => paint(cells((x, y) => [x / side, y / side], 6 / side)));
    expect(small).toMatchObject({ what: expect.stringContaining("too small"), count: 14 });
    expect(small?.hint).toContain("fractions of the image");
  });

  it("a few objects outside are left out with their number, and no cell is lost for it", () => {
    const map = paint([...cells(), object("far", disc(300, 20, 6)), object("tiny", rectangle(5.1, 5.1, 0.2, 0.2))]);
    expect(map.count).toBe(14);
    expect(map.tallies?.map(({ what, count, of, names }) => [what, count, of, names])).toEqual([
      ["objects outside the image", 1, 16, ["far"]],
      ["objects too small to hold the centre of a pixel", 1, 16, ["tiny"]],
    ]);
  });

  it("an object that lies under smaller ones is told apart from the others", () => {
    const map = paint([
      object("under", rectangle(40, 40, 8, 8)),
      object("l", rectangle(40, 40, 4, 8)),
      object("r", rectangle(44, 40, 4, 8)),
    ]);
    expect(map.tallies?.find(({ what }) => what.includes("covered by smaller ones"))?.names).toEqual(["under"]);
    expect(map.tallies?.find(({ what }) => what.includes("rectangles"))?.count).toBe(3);
  });
});

describe("slips", () => {
  const sound = cells();
  const box = { name: "boxed", box: [2, 2, 8, 8] as const, slips: ["boxOnly" as const] };
  const broken = { name: "cut", slips: ["broken" as const] };

  it("objects without a usable outline are a problem until the configuration decides", () => {
    const tallies = refused(() => paint([...sound, box, broken]));
    expect(tallies.map(({ count, of, names }) => [count, of, names])).toEqual([
      [1, 16, ["boxed"]],
      [1, 16, ["cut"]],
    ]);
    expect(tallies[0]?.fix).toContain("without_outline");
    const left = paint([...sound, box, broken], { withoutOutline: "leave_out" });
    expect([left.count, left.data[5 * side + 5]]).toEqual([14, 0]);
    const ignored = paint([...sound, box], { withoutOutline: "ignore" });
    expect([ignored.count, areaOf(ignored.data, -1)]).toEqual([14, 64]);
    expect(ignored.tallies).toMatchObject([{ what: expect.stringContaining("whose boxes are ignored"), count: 1 }]);
  });

  it("objects of two points are told, and refused where they are most", () => {
    const short = { name: "line", slips: ["fewPoints" as const] };
    expect(paint([...sound, short]).tallies).toMatchObject([{ count: 1, of: 15, names: ["line"] }]);
    expect(refused(() => paint([sound[0] as DrawnObject, short, short]))).toMatchObject([{ count: 2, of: 3 }]);
  });
});

describe("categories", () => {
  const named = (category: string) => cells().map((cell, i) => ({ ...cell, category, categoryId: String(i % 1) }));

  it("several are listed with their counts, the one that covers the others by name", async () => {
    const feature = (ring: number[], name: string) => ({
      type: "Feature",
      properties: { classification: { name } },
      geometry: { type: "Polygon", coordinates: [closed(ring)] },
    });
    const nuclei = centres.map(([x, y]) => feature(disc(x, y, 6), "nucleus"));
    const tissue = feature(rectangle(1, 1, 100, 126), "tissue");
    const file = { type: "FeatureCollection", features: [...nuclei, tissue, feature(disc(120, 120, 4), "artifact")] };
    await write(root, {
      "images/a.png": picture(),
      "images/b.png": picture(),
      "masks/a.geojson": file,
      "masks/b.geojson": file,
    });
    const paths = { imgPath: join(root, "images"), maskPath: join(root, "masks") };
    const { warnings } = await loadDataset(paths);
    const note = warnings.find((text) => text.includes("categories"));
    expect(note).toContain("nucleus 28, tissue 2, artifact 2");
    expect(note).toContain("tissue covers most of the others");
    expect(note).toContain("categories: [nucleus]");
    const chosen = await loadDataset({ ...paths, categories: ["nucleus"] });
    expect(chosen.pairs.map((pair) => pair.cells)).toEqual([14, 14]);
    expect([...chosen.notes, ...chosen.warnings]).toEqual([]);
    await expect(loadDataset({ ...paths, categories: ["nucleos"] })).rejects.toThrow(
      /no category nucleos; there are nucleus 28, tissue 2, artifact 2/,
    );
  });

  it("are chosen by name or number", () => {
    const both = [...named("cell"), object("debris", disc(6, 6, 3), { category: "debris", categoryId: "1" })];
    expect(paint(both, { categories: ["debris"] }).count).toBe(1);
    expect(paint(both, { categories: ["0"] }).count).toBe(14);
  });
});

describe("nuclei", () => {
  it("cells are taken with a note that nuclei are there; outline: nucleus takes these", () => {
    const objects = cells().map((cell, i) => ({
      ...cell,
      ...(i < 12 && { nucleus: { polygons: [[disc(centres[i]?.[0] ?? 0, centres[i]?.[1] ?? 0, 3)]] } }),
    }));
    const whole = paint(objects);
    expect(whole.tallies).toMatchObject([{ count: 12, of: 14, hint: expect.stringContaining("outline: nucleus") }]);
    const inner = paint(objects, { outline: "nucleus" });
    expect(inner.count).toBe(12);
    expect(inner.tallies).toMatchObject([{ what: "cells without a nucleus, left out", count: 2 }]);
    // Radius 3: 28.3 pixels.
    expect(Math.abs(areaOf(inner.data, 1) - 28)).toBeLessThan(5);
  });
});

describe("one file of many images", () => {
  it("what is wrong is listed once for the file, and not for every image", async () => {
    const images = [1, 2, 3].map((id) => ({ id, file_name: `f${id}.png`, width: side, height: side }));
    const annotations = images.flatMap(({ id }) =>
      centres.map(([x, y], i) => ({
        id: 100 * id + i,
        image_id: String(id),
        category_id: "1",
        iscrowd: "0",
        bbox: [x - 6, y - 6, 12, 12],
        segmentation: i === 4 ? [] : i === 5 ? [disc(x, y, 6).map(String), [1, 2, 3, 4]] : [disc(x, y, 6)],
      })),
    );
    const pictures = Object.fromEntries(images.map(({ file_name }) => [`images/${file_name}`, picture()]));
    await write(root, { ...pictures, "all.json": { images, annotations, categories: [{ id: 1, name: "cell" }] } });
    const paths = { imgPath: join(root, "images"), maskPath: join(root, "all.json") };
    const error: CellsamError = await loadDataset(paths).then(
      () => expect.fail("accepted"),
      (reason) => reason,
    );
    expect(error.detail.problems).toMatchObject([
      {
        code: "ERR_ANNOTATION",
        message: "objects with a box and no outline: 3 of 42 (annotation 104, annotation 204, annotation 304)",
      },
    ]);
    const { pairs, notes, warnings } = await loadDataset({ ...paths, withoutOutline: "leave_out" });
    expect(pairs.map((pair) => pair.cells)).toEqual([13, 13, 13]);
    expect([...warnings, ...notes].filter((note) => /written as text|part of fewer than 3/.test(note))).toEqual([
      expect.stringMatching(/part of fewer than 3 points.*: 3 of 42/),
      expect.stringMatching(/written as text.*: 42 of 42/),
    ]);
  });

  it("annotations of unknown images are told, and refused where they are most", async () => {
    const image = { id: 1, file_name: "f1.png", width: side, height: side };
    const annotation = (id: number, image_id: number) => ({
      id,
      image_id,
      category_id: 1,
      segmentation: [disc(20 + 30 * (id % 3), 20, 6)],
    });
    await write(root, { "images/f1.png": picture() });
    const paths = { imgPath: join(root, "images"), maskPath: join(root, "all.json") };
    await write(root, { "all.json": { images: [image], annotations: [annotation(1, 1), annotation(2, 1), annotation(9, 7)] } });
    const { notes } = await loadDataset(paths);
    expect(notes.join()).toContain("1 of 3 annotations belong to no image of the file (annotation 9)");
    await write(root, { "all.json": { images: [image], annotations: [annotation(1, 1), annotation(2, 7), annotation(9, 7)] } });
    await expect(loadDataset(paths)).rejects.toThrow(/2 of 3 annotations belong to no image of the file \(annotation 2, 9\)/);
  });
});

it("outlines of too many points are refused within a moment", () => {
  const zigzag = Array.from({ length: 2_000_000 }, (_, i) => [i % 128, i % 2 ? 0 : 128]).flat();
  expect(() => paint([object("hostile", zigzag)])).toThrow(/too many points/);
});
