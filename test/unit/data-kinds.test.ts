// Kinds of annotations that other tools write: LabelMe, CVAT, YOLO, ImageJ.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "fast-png";
import { zipSync } from "fflate";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { objectLabels, openObjects } from "../../lib/data/annotationFile.js";
import { loadDataset } from "../../lib/data/dataset.js";
import { discover } from "../../lib/data/discover.js";
import type { LabelMap, LabelOptions } from "../../lib/data/image.js";
import { pairLabels } from "../../lib/data/pair.js";
import type { Problem } from "../../lib/data/problem.js";
import type { CellsamError } from "../../lib/errors.js";
import { centres, closed, disc, picture, points, rectangle, side, write } from "./drawn-objects.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-kinds-"));
});
afterEach(() => rm(root, { recursive: true }));

const paths = () => ({ imgPath: join(root, "images"), maskPath: join(root, "masks") });
const images = (...names: string[]) => Object.fromEntries(names.map((name) => [`images/${name}`, picture()]));
async function load(files: Parameters<typeof write>[1], more: Partial<Parameters<typeof loadDataset>[0]> = {}) {
  await write(root, files);
  return loadDataset({ ...paths(), ...more });
}
async function problems(files: Parameters<typeof write>[1], more = {}): Promise<Problem[]> {
  return load(files, more).then(
    () => expect.fail("accepted"),
    (error: CellsamError) => error.detail.problems as Problem[],
  );
}
const area = ({ data }: LabelMap, id: number) => data.reduce((sum, value) => sum + Number(value === id), 0);
const read = async (name: string, bytes: Buffer | Uint8Array | string, options: LabelOptions) =>
  objectLabels(await openObjects(name, Buffer.from(bytes as Buffer)), { size: [side, side], ...options });

/** The pixel in the middle of each disc holds its id, and each disc has its area of pi r^2 = 113. */
function expectDiscs(map: LabelMap): void {
  expect(map.count).toBe(14);
  for (const [i, [x, y]] of centres.entries()) {
    expect(map.data[y * side + x]).toBe(i + 1);
    expect(Math.abs(area(map, i + 1) - 113)).toBeLessThan(6);
  }
}

describe("LabelMe", () => {
  const shape = (label: string, shape_type: string, pts: number[][], more = {}) => ({
    label,
    shape_type,
    points: pts,
    group_id: null,
    flags: {},
    ...more,
  });
  const file = (shapes: object[], more = {}) => ({
    version: "5.4.1",
    flags: {},
    shapes,
    imagePath: "f0.png",
    imageData: "iVBORw0KGgo=".repeat(1000),
    imageHeight: side,
    imageWidth: side,
    ...more,
  });
  const discs = centres.map(([x, y]) => shape("cell", "polygon", points(disc(x, y, 6))));

  it("several files: polygons, circles, and another extension left in the name", async () => {
    const circles = centres.map(([x, y]) =>
      shape("cell", "circle", [
        [x, y],
        [x + 6, y],
      ]),
    );
    const data = await load({
      ...images("f0.png", "f1.png", "f2.png"),
      "masks/f0.json": file(discs),
      "masks/f1.json": file(circles, { imageHeight: null, imageWidth: null }),
      "masks/f2.png.json": file(discs),
    });
    expect(data.pairs.map(({ annotation, cells }) => [annotation, cells])).toEqual(Array(3).fill(["labelme", 14]));
    expect(data.notes).toEqual([]);
    for (const pair of data.pairs) expectDiscs(await pairLabels(pair));
  });

  it("in one folder with the images, labels as categories, __ignore__ as a region to ignore", async () => {
    const more = [
      shape("debris", "rectangle", [
        [4, 4],
        [8, 10],
      ]),
      shape("__ignore__", "polygon", points(rectangle(110, 110, 10, 10))),
    ];
    await write(root, { "all/f0.png": picture(), "all/f0.json": file([...discs, ...more]) });
    const both = { imgPath: join(root, "all"), maskPath: join(root, "all") };
    const data = await loadDataset({ ...both, categories: ["cell"] });
    const map = await pairLabels(data.pairs[0] as never, { categories: ["cell"] });
    expectDiscs(map);
    expect(area(map, -1)).toBe(100);
    const all = await loadDataset(both);
    expect(all.pairs[0]?.cells).toBe(15);
    expect(all.warnings.join("\n")).toMatch(/2 categories: cell 14, debris 1/);
    expect(all.warnings.join("\n")).toMatch(/rectangles, taken for outlines: 1 of 15/);
  });

  it("shapes of one group are one cell, masks are PNG, points are told", async () => {
    const mask = Buffer.from(
      encode({ width: 3, height: 2, channels: 1, data: Uint8Array.of(255, 255, 0, 0, 255, 255) }),
    ).toString("base64");
    const shapes = [
      shape("cell", "polygon", points(rectangle(2, 2, 4, 4)), { group_id: 7 }),
      shape("cell", "polygon", points(rectangle(8, 2, 4, 4)), { group_id: 7 }),
      shape(
        "cell",
        "mask",
        [
          [20, 30],
          [22, 31],
        ],
        { mask },
      ),
      shape("cell", "point", [[50, 50]]),
    ];
    const map = await read("f.json", JSON.stringify(file(shapes)), { annotation: "labelme" });
    expect([map.count, area(map, 1), area(map, 2), map.data[31 * side + 22], map.data[30 * side + 22]]).toEqual([
      2, 32, 4, 2, 0,
    ]);
    expect(map.tallies).toMatchObject([{ what: expect.stringContaining("points and lines"), count: 1, names: ["shape 4"] }]);
  });
});

describe("CVAT for images", () => {
  const text = (flat: number[]) =>
    points(flat)
      .map((point) => point.map((value) => value.toFixed(2)).join(","))
      .join(";");
  const polygon = (flat: number[], label = "cell") =>
    `<polygon label="${label}" source="manual" occluded="0" points="${text(flat)}" z_order="0"><attribute name="kind">a &amp; b</attribute></polygon>`;
  const xml = (...entries: [name: string, shapes: string][]) =>
    `<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><labels><label><name>cell</name></label><label><name>debris</name></label></labels></task></meta>${entries.map(([name, shapes], id) => `<image id="${id}" name="${name}" width="${side}" height="${side}">${shapes}</image>`).join("")}</annotations>`;
  const discs = centres.map(([x, y]) => polygon(disc(x, y, 6))).join("");

  it("one file for several images, as a file or in a folder", async () => {
    const file = xml(["f0.png", discs], ["sub/f1.png", discs], ["f2.png", ""]);
    const data = await load({ ...images("f0.png", "f1.png", "f2.png"), "masks/annotations.xml": file });
    expect(data.pairs.map(({ annotation, cells }) => [annotation, cells])).toEqual([
      ["cvat", 14],
      ["cvat", 14],
      ["cvat", 0],
    ]);
    expectDiscs(await pairLabels(data.pairs[1] as never));
    const single = await loadDataset({ ...paths(), maskPath: join(root, "masks/annotations.xml") });
    expect(single.pairs.map(({ cells }) => cells)).toEqual([14, 14, 0]);
  });

  it("ellipses, turned boxes and masks", async () => {
    const shapes = [
      '<ellipse label="cell" cx="30" cy="30" rx="10" ry="5" rotation="90"></ellipse>',
      '<box label="cell" xtl="60" ytl="60" xbr="80" ybr="64"></box>',
      '<box label="debris" xtl="100" ytl="20" xbr="110" ybr="30" rotation="45"/>',
      // Rows of 4: .##. and ###. within its own box.
      '<mask label="cell" rle="1, 2, 1, 3, 1" left="10" top="100" width="4" height="2"></mask>',
      '<points label="cell" points="1,1;2,2"/>',
    ].join("");
    const map = await read("a.xml", xml(["f0.png", shapes]), { annotation: "cvat", item: "f0.png" });
    expect(map.count).toBe(4);
    // mask, ellipse, box, turned box: 5, 50 pi, 80 and 100 pixels.
    expect([area(map, 1), map.data[100 * side + 11], map.data[101 * side + 10], map.data[100 * side + 10]]).toEqual([
      5, 1, 1, 0,
    ]);
    expect(Math.abs(area(map, 2) - 157)).toBeLessThan(8);
    expect([map.data[22 * side + 30], map.data[30 * side + 38]]).toEqual([2, 0]);
    expect(area(map, 3)).toBe(80);
    // Centres at half pixels: |x| + |y| < 7.07 holds for 2 * 7 * 8.
    expect(area(map, 4)).toBe(112);
    expect(map.data[19 * side + 105]).toBe(4);
    const chosen = await read("a.xml", xml(["f0.png", shapes]), { annotation: "cvat", item: "f0.png", categories: ["debris"] });
    expect(chosen.count).toBe(1);
  });

  it("refuses videos, entities and other XML with what to do", async () => {
    const video = '<annotations><version>1.1</version><track id="0" label="cell"><box frame="0"/></track></annotations>';
    expect(await problems({ ...images("f0.png"), "masks/a.xml": video })).toMatchObject([
      { message: expect.stringMatching(/videos.*for images 1.1/) },
    ]);
    const bomb = `<!DOCTYPE a [<!ENTITY x "y">]>${xml(["f0.png", ""])}`;
    expect(await problems({ "masks/a.xml": bomb })).toMatchObject([{ message: expect.stringContaining("entities") }]);
    const voc = "<annotation><filename>f0.png</filename></annotation>";
    expect(await problems({ "masks/a.xml": voc })).toMatchObject([
      { code: "ERR_NO_DATA", message: expect.stringContaining("1 file of type .xml") },
    ]);
    expect(await problems({ "masks/f0.xml": voc, "masks/a.xml": xml(["other.png", ""]) })).toMatchObject([
      { code: "ERR_NO_MASK" },
      { code: "ERR_NO_IMAGE" },
    ]);
  });
});

describe("YOLO", () => {
  const line = (flat: number[], number = 0) => [number, ...flat.map((value) => (value / side).toFixed(6))].join(" ");
  const discs = centres.map(([x, y]) => line(disc(x, y, 6))).join("\n");

  it("outlines as fractions; empty text is an empty field; the list of classes is none", async () => {
    const data = await load({
      ...images("f0.png", "f1.png", "f2.png"),
      "masks/f0.txt": discs,
      "masks/f1.txt": `${discs}\r\n`.replaceAll("\n", "\r\n"),
      "masks/f2.txt": "",
      "masks/classes.txt": "cell\ndebris\n",
      "masks/notes.txt": "drawn on Monday",
    });
    expect(data.pairs.map(({ annotation, cells }) => [annotation, cells])).toEqual([
      ["yolo", 14],
      ["yolo", 14],
      ["yolo", 0],
    ]);
    expectDiscs(await pairLabels(data.pairs[0] as never));
    expect(data.notes).toEqual([]);
  });

  it.each([
    ["labels/data.yaml", "path: .\nnames:\n  0: cell\n  1: debris\n"],
    ["labels/data.yml", "names: [cell, debris]\nnc: 2\n"],
    ["obj.names", "cell\ndebris"],
  ])("classes by number, or by name from %s", async (name, text) => {
    const files = { ...images("f0.png"), "labels/train/f0.txt": `${discs}\n${line(rectangle(4, 4, 6, 6), 1)}`, [name]: text };
    const maskPath = join(root, "labels/train");
    const cells = async (categories: (string | number)[] | null) =>
      (await load(files, { maskPath, categories })).pairs[0]?.cells;
    expect(await cells(["cell"])).toBe(14);
    expect(await cells([1])).toBe(1);
    expect(await cells(null)).toBe(15);
    expect((await load(files, { maskPath })).warnings.join()).toContain("2 categories: cell 14, debris 1");
  });

  it("boxes alone are listed, pixels in place of fractions are refused", async () => {
    const boxes = "0 0.5 0.5 0.1 0.1\n1 0.1 0.1 0.05 0.05 0.93\n";
    const [problem, ...rest] = await problems({ ...images("f0.png"), "masks/f0.txt": `${discs}\n${boxes}` });
    expect(rest).toEqual([]);
    expect(problem?.message).toBe("objects with a box and no outline: 2 of 16 (line 15, line 16)");
    const ignored = await loadDataset({ ...paths(), withoutOutline: "ignore" });
    expect(ignored.pairs[0]?.cells).toBe(14);
    const pixels = centres.map(([x, y]) => [0, ...disc(x, y, 6)].join(" ")).join("\n");
    expect(await problems({ "masks/f0.txt": pixels })).toMatchObject([
      { message: expect.stringMatching(/go up to 1\d\d.*fractions/) },
    ]);
  });
});

describe("ImageJ", () => {
  interface Roi {
    type: number;
    box?: [number, number, number, number];
    ring?: number[];
    exact?: boolean;
    path?: number[];
    group?: number;
    slice?: number;
  }
  /** A .roi by the description of its header: type 0 polygon, 1 rectangle, 2 oval, 7 freehand, 8 traced, 10 point. */
  function roi({ type, box, ring = [], exact = false, path = [], group = 0, slice = 0 }: Roi): Uint8Array {
    const pts = points(ring);
    const xs = pts.map(([x]) => x);
    const ys = pts.map(([, y]) => y);
    const [left, top, width, height] = box ?? [Math.floor(Math.min(...xs)), Math.floor(Math.min(...ys)), 0, 0];
    const body = Buffer.alloc(64 + pts.length * (exact ? 12 : 4) + 4 * path.length);
    const header = Buffer.alloc(64);
    body.write("Iout", 0, "latin1");
    body.writeInt16BE(228, 4);
    body.writeUInt8(type, 6);
    for (const [i, value] of [top, left, top + height, left + width].entries())
      body.writeUInt16BE(Math.floor(value) & 0xffff, 8 + 2 * i);
    body.writeUInt16BE(pts.length, 16);
    if (box && exact) for (const [i, value] of [left, top, width, height].entries()) body.writeFloatBE(value, 18 + 4 * i);
    body.writeInt32BE(path.length, 36);
    body.writeUInt16BE(exact ? 128 : 0, 50);
    body.writeInt32BE(slice, 56);
    body.writeInt32BE(body.length, 60);
    for (const [i, [x, y]] of pts.entries()) {
      body.writeUInt16BE(Math.round(x - left), 64 + 2 * i);
      body.writeUInt16BE(Math.round(y - top), 64 + 2 * pts.length + 2 * i);
      if (exact) {
        body.writeFloatBE(x, 64 + 4 * pts.length + 4 * i);
        body.writeFloatBE(y, 64 + 8 * pts.length + 4 * i);
      }
    }
    for (const [i, value] of path.entries()) body.writeFloatBE(value, 64 + 4 * i);
    header.writeUInt8(group, 30);
    return Buffer.concat([body, header]);
  }
  const zip = (rois: Uint8Array[]) =>
    zipSync(Object.fromEntries(rois.map((bytes, i) => [`${String(i + 1).padStart(4, "0")}.roi`, bytes])));
  const labels = (rois: Roi[], options: Partial<LabelOptions> = {}) =>
    read("a.zip", zip(rois.map(roi)), { annotation: "imagej_roi", ...options });

  it("RoiSet.zip, f0.tif.zip and single .roi pair with their images", async () => {
    const set = zip(centres.map(([x, y]) => roi({ type: 7, ring: disc(x, y, 6), exact: true })));
    const data = await load({
      ...images("f0.png", "f1.png", "f2.png"),
      "masks/f0_RoiSet.zip": set,
      "masks/f1.tif.zip": set,
      "masks/f2.roi": roi({ type: 2, box: [20, 20, 12, 12] }),
    });
    expect(data.pairs.map(({ annotation, cells }) => [annotation, cells])).toEqual([
      ["imagej_roi", 14],
      ["imagej_roi", 14],
      ["imagej_roi", 1],
    ]);
    expectDiscs(await pairLabels(data.pairs[0] as never));
    const one = await discover({ imgPath: join(root, "images/f0.png"), maskPath: join(root, "masks/f0_RoiSet.zip") });
    expect(one.pairs).toMatchObject([{ annotation: "imagej_roi" }]);
  });

  it("polygons, rectangles and ovals, whole and exact; traced outlines; large coordinates", async () => {
    const map = await labels([
      { type: 0, ring: rectangle(10, 10, 6, 4) },
      { type: 1, box: [30, 10, 5, 7] },
      { type: 2, box: [50, 10, 20, 10] },
      { type: 8, ring: rectangle(80, 10, 3, 3) },
      { type: 1, box: [10.75, 40.75, 4, 4], exact: true },
      { type: 0, ring: [30.75, 40.75, 36.75, 40.75, 36.75, 44.75, 30.75, 44.75], exact: true },
    ]);
    expect(map.count).toBe(6);
    expect([area(map, 1), area(map, 2), area(map, 4), area(map, 5), area(map, 6)]).toEqual([24, 35, 9, 16, 24]);
    // pi * 10 * 5
    expect(Math.abs(area(map, 3) - 157)).toBeLessThan(8);
    expect([map.data[10 * side + 10], map.data[9 * side + 10], map.data[13 * side + 15], map.data[14 * side + 15]]).toEqual([
      1, 0, 1, 0,
    ]);
    // From 10.75 to 14.75 lie the centres of columns 11 to 14.
    expect([10, 11, 14, 15].map((x) => map.data[41 * side + x])).toEqual([0, 5, 5, 0]);
    expect([30, 31, 36, 37].map((x) => map.data[44 * side + x])).toEqual([0, 6, 6, 0]);
    const far = await labels([{ type: 0, ring: rectangle(40000, 10, 6, 4) }], { size: [30, 41000] });
    expect([far.count, far.data[10 * 41000 + 40000]]).toEqual([1, 1]);
  });

  it("a composite has its holes and its parts", async () => {
    const ring = (flat: number[]) =>
      [0, flat[0], flat[1], ...points(flat.slice(2)).flatMap(([x, y]) => [1, x, y]), 4] as number[];
    const path = [...ring(rectangle(10, 10, 10, 10)), ...ring(rectangle(12, 12, 4, 4)), ...ring(rectangle(30, 10, 5, 5))];
    const map = await labels([{ type: 1, box: [10, 10, 25, 10], path }]);
    expect([map.count, area(map, 1), map.data[13 * side + 13], map.data[12 * side + 32]]).toEqual([1, 100 - 16 + 25, 0, 1]);
    // A square whose lower side is a curve: cubic with control points on the side itself.
    const curved = await labels([
      { type: 1, box: [0, 0, 9, 9], path: [0, 10, 10, 1, 20, 10, 1, 20, 20, 3, 17, 20, 13, 20, 10, 20, 4] },
    ]);
    expect(area(curved, 1)).toBe(100);
  });

  it("groups are categories, points are told, other slices are told, damage is listed", async () => {
    const rois: Roi[] = centres.map(([x, y], i) => ({
      type: 7,
      ring: disc(x, y, 6),
      exact: true,
      group: i < 10 ? 1 : 2,
      slice: 1 + (i % 2),
    }));
    const map = await labels([...rois, { type: 10, ring: [5, 5] }]);
    expect(map.count).toBe(14);
    expect(map.tallies).toMatchObject([{ what: expect.stringContaining("points and lines"), count: 1 }]);
    expect(map.notes.join()).toContain("2 slices");
    const second = await labels(rois, { slice: 1 });
    expect([second.count, second.notes]).toEqual([7, []]);
    expect((await labels([...rois, { type: 7, ring: disc(6, 6, 4), exact: true }], { slice: 0 })).count).toBe(8);
    expect((await labels(rois, { categories: ["2"] })).count).toBe(4);
    const cut = zip([...rois.map(roi), roi({ type: 0, ring: disc(60, 6, 3) }).subarray(0, 80), Buffer.from("nonsense")]);
    await expect(read("a.zip", cut, { annotation: "imagej_roi" })).rejects.toThrow(/outline cannot be read: 2 of 16/);
    expect((await read("a.zip", cut, { annotation: "imagej_roi", withoutOutline: "leave_out" })).count).toBe(14);
  });

  it("other archives are no annotation; archives that declare more than they hold are refused", async () => {
    const [problem] = await problems({ ...images("f0.png"), "masks/f0.zip": zipSync({ "a.txt": Buffer.from("hello") }) });
    expect(problem).toMatchObject({ code: "ERR_NO_DATA", message: expect.stringContaining("1 file of type .zip") });
    const large = zipSync({ "a.roi": new Uint8Array(2 ** 26) });
    await expect(openObjects("a.zip", Buffer.from(large))).rejects.toThrow(/declares/);
    const many = roi({ type: 0, ring: disc(9, 9, 4) }) as Buffer;
    many.writeUInt16BE(65535, 16);
    await expect(read("a.roi", many, { annotation: "imagej_roi" })).rejects.toThrow(/cannot be read: 1 of 1/);
  });
});

describe("JSON by its content", () => {
  const feature = (ring: number[]) => ({
    type: "Feature",
    properties: {},
    geometry: { type: "Polygon", coordinates: [closed(ring)] },
  });
  const geojson = { type: "FeatureCollection", features: centres.map(([x, y]) => feature(disc(x, y, 6))) };

  it.each([
    ["f0.json", geojson],
    ["f0.json", geojson.features],
    ["f0.geojson", geojson.features],
    ["f0.tif.geojson", geojson],
    ["f0.ome.tif.geojson", geojson],
    ["f0.png.json", geojson],
  ])("GeoJSON in %s", async (name, content) => {
    const data = await load({ ...images("f0.png"), [`masks/${name}`]: content });
    expect(data.pairs).toMatchObject([{ annotation: "geojson", cells: 14 }]);
  });

  it("JSON of another kind is named, and ignored beside annotations", async () => {
    const [problem] = await problems({ ...images("f0.png"), "masks/f0.json": { _via_img_metadata: {} } });
    expect(problem).toMatchObject({ code: "ERR_NO_DATA", message: expect.stringContaining("1 file of type .json") });
    const found = await load({ "masks/f0.geojson": geojson, "masks/scores.json": [1, 2], "masks/f0.json": { settings: 1 } });
    expect(found.pairs).toMatchObject([{ annotation: "geojson", cells: 14 }]);
    const [named] = await problems({}, { maskPath: join(root, "masks/scores.json") });
    expect(named).toMatchObject({ code: "ERR_ANNOTATION", message: expect.stringContaining("no kind of annotation") });
    expect(await problems({ "masks/cut.json": '{"images": [' })).toMatchObject([
      { code: "ERR_ANNOTATION", message: expect.stringContaining("cannot be parsed") },
    ]);
  });

  it.each([
    ["a.json", { _via_img_metadata: {} }, "VGG Image Annotator"],
    ["b.json", { "f0.png123": { filename: "f0.png", size: 123, regions: [], file_attributes: {} } }, "VGG Image Annotator"],
    ["c.json", [{ id: 1, data: { image: "f0.png" }, annotations: [] }], "Label Studio's own JSON"],
    ["d.xml", "<annotation><filename>f0.png</filename><object/></annotation>", "Pascal VOC"],
    ["e.xml", "<ASAP_Annotations><Annotations/></ASAP_Annotations>", "ASAP"],
  ])("%s is named as what it is", async (name, content, what) => {
    const [inFolder] = await problems({ ...images("f0.png"), [`masks/${name}`]: content });
    expect(inFolder).toMatchObject({
      code: "ERR_NO_DATA",
      message: expect.stringContaining(`${what} is not read (1 file)`),
    });
    expect(inFolder?.fix).toContain("export COCO");
    const [alone] = await problems({}, { maskPath: join(root, "masks", name) });
    expect(alone).toMatchObject({ code: "ERR_ANNOTATION", message: `it is of ${what}, which is not read` });
  });

  it("deep nesting is no trouble", async () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    for (const text of [deep, `{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": ${deep}}]}`]) {
      await openObjects("a.geojson", Buffer.from(text)).then(
        (opened) =>
          expect(() => objectLabels(opened, { annotation: "geojson", size: [4, 4] })).toThrow(
            /ERR|no annotation|cannot be read/,
          ),
        (error: CellsamError) => expect(error.code).toBe("ERR_ANNOTATION"),
      );
    }
    await openObjects("a.xml", Buffer.from(`<annotations><image>${"<a>".repeat(100_000)}`)).catch((error: CellsamError) =>
      expect(error.code).toBe("ERR_ANNOTATION"),
    );
  });
});
