import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "fast-png";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { objectLabels, openObjects } from "../../lib/data/annotationFile.js";
import { loadDataset } from "../../lib/data/dataset.js";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import { discover } from "../../lib/data/discover.js";
import { readPickle, Skipped } from "../../lib/data/formats/pickle.js";
import { rowsOfRuns, unpackCounts } from "../../lib/data/formats/rle.js";
import { toLabels } from "../../lib/data/labels.js";
import { filesOf } from "../../lib/data/pair.js";
import { Random } from "../../lib/data/random.js";
import { fillPolygon } from "../../lib/data/raster.js";
import { writeLabels } from "../../lib/data/write.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-annotations-"));
});
afterEach(() => rm(root, { recursive: true }));

const python = process.env.CELLSAM_PYTHON;
if (!python)
  console.warn("SKIPPED: CELLSAM_PYTHON is not set, so polygons are not compared with scikit-image, TIFF not with tifffile");
const run = (script: string, ...args: string[]) =>
  JSON.parse(execFileSync(python ?? "", ["-c", script, ...args], { encoding: "utf8", maxBuffer: 2 ** 28 }));
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

const readGeojson = async (bytes: Buffer, size: [number, number]) =>
  objectLabels(await openObjects("a.geojson", bytes), { annotation: "geojson", size });

function mask(polygon: number[][], [height, width]: [number, number]): number[] {
  const out = new Array<number>(height * width).fill(0);
  fillPolygon(polygon, [height, width], (row, from, to) => void out.fill(1, row * width + from, row * width + to));
  return out;
}

const square = (x: number, y: number, side: number) => [
  [x, y],
  [x + side, y],
  [x + side, y + side],
  [x, y + side],
  [x, y],
];
const feature = (coordinates: unknown, extra: object = {}, type = "Polygon") => ({
  type: "Feature",
  geometry: { type, coordinates },
  properties: { objectType: "annotation", ...extra },
});
const collection = (...features: unknown[]) => json({ type: "FeatureCollection", features });

describe("polygons", () => {
  it.skipIf(!python)(
    "fills the pixels whose centres scikit-image finds inside, also outside the picture and with holes",
    async () => {
      const random = new Random(5);
      const cases = Array.from({ length: 60 }, () =>
        Array.from({ length: random.integer(3, 9) }, () => [random.uniform(-6, 30), random.uniform(-6, 26)] as const).flat(),
      );
      await writeFile(join(root, "cases.json"), JSON.stringify(cases));
      // Pixel centres are whole numbers there: half a pixel less.
      const script = `
import sys, json, numpy as np
from skimage.measure import grid_points_in_poly
out = []
for flat in json.load(open(sys.argv[1])):
    xy = np.array(flat).reshape(-1, 2) - 0.5
    out.append(grid_points_in_poly((20, 24), xy[:, ::-1]).astype(int).ravel().tolist())
print(json.dumps(out))`;
      const wanted: number[][] = run(script, join(root, "cases.json"));
      for (const [i, ring] of cases.entries()) expect(mask([ring], [20, 24]), `case ${i}`).toEqual(wanted[i]);
    },
  );

  it("a square of whole numbers has its area, neighbours share no pixel, a hole stays empty", () => {
    const flat = (x: number, y: number, side: number) => square(x, y, side).flat();
    expect(mask([flat(1, 1, 2)], [4, 5])).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    const left = mask([[0.5, 0, 2.5, 0, 2.5, 4, 0.5, 4]], [4, 5]);
    const right = mask([[2.5, 0, 4.5, 0, 4.5, 4, 2.5, 4]], [4, 5]);
    expect(left.map((value, i) => value + (right[i] ?? 0)).every((value) => value <= 1)).toBe(true);
    expect(mask([flat(0, 0, 4), flat(1, 1, 2)], [4, 4]).reduce((a, b) => a + b)).toBe(12);
  });
});

describe("GeoJSON", () => {
  it("paints small objects on top of large ones, joins parts, and names what has no pixel", async () => {
    const labels = await readGeojson(
      collection(
        feature([square(0, 0, 2)]),
        feature([[square(0, 0, 3)], [square(4, 0, 1)]], {}, "MultiPolygon"),
        feature([square(1.1, 3.1, 0.2)]),
      ),
      [4, 5],
    );
    expect([...labels.data]).toEqual([1, 1, 2, 0, 2, 1, 1, 2, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0]);
    expect(labels.count).toBe(2);
    expect(labels.tallies).toMatchObject([{ what: expect.stringMatching(/too small/), count: 1, of: 3, names: ["feature 3"] }]);
  });

  it("D60: an ignore class becomes -1 under the cells, regions around cells are left out", async () => {
    const ignore = feature([square(0, 0, 3)], { classification: { name: "Ignore*" } });
    const cell = feature([square(1, 1, 1)], { objectType: "cell" });
    const labels = await readGeojson(collection(cell, feature([square(0, 0, 3)]), ignore), [3, 3]);
    expect([...labels.data]).toEqual([-1, -1, -1, -1, 1, -1, -1, -1, -1]);
    expect(labels.count).toBe(1);
    expect(labels.tallies).toMatchObject([{ what: expect.stringContaining("annotations around the cells"), count: 1 }]);
  });

  it.each([
    ["{", /cannot be parsed/],
    [JSON.stringify({ type: "Topology" }), /no annotation that is known/],
    [collection(feature([1, 2], {}, "Point")).toString(), /points and lines.*1 of 1/],
    [collection(feature([[[0, 0]]])).toString(), /fewer than 3 points.*1 of 1/],
    [
      collection(
        feature([
          [
            [0, 0],
            [1, "x"],
            [2, 2],
          ],
        ]),
      ).toString(),
      /outline cannot be read: 1 of 1/,
    ],
  ])("refuses %s", async (text, message) => {
    await expect(readGeojson(Buffer.from(text), [4, 4])).rejects.toThrow(message);
  });
});

describe("COCO", () => {
  const annotation = (id: number, segmentation: unknown, extra: object = {}) => ({
    id,
    image_id: 7,
    category_id: 1,
    segmentation,
    ...extra,
  });
  const coco = (...annotations: unknown[]) =>
    openObjects(
      "a.json",
      json({
        images: [{ id: 7, file_name: "day1/a.png", height: 3, width: 4 }],
        annotations,
        categories: [
          { id: 1, name: "cell" },
          { id: 2, name: "debris" },
        ],
      }),
    );

  const paint = (file: Awaited<ReturnType<typeof coco>>, categories?: string[]) =>
    objectLabels(file, { annotation: "coco", item: "day1/a.png", ...(categories && { categories }) });

  it("reads polygons, both kinds of run lengths, iscrowd as ignore, and categories by name", async () => {
    // Down the columns: two of nothing, two of the object (last of column 0, first of column 1), eight of nothing.
    const counts = [2, 2, 8];
    const packed = counts.map((count) => String.fromCharCode(48 + count)).join("");
    const file = await coco(
      annotation(1, { size: [3, 4], counts }),
      annotation(2, [
        [2, 0, 4, 0, 4, 1, 2, 1],
        [3, 2, 4, 2, 4, 3, 3, 3],
      ]),
      annotation(3, { size: [3, 4], counts: [9, 3] }, { iscrowd: 1 }),
      annotation(4, [[2, 1, 3, 1, 3, 2, 2, 2]], { category_id: 2 }),
    );
    expect([...paint(file).data]).toEqual([0, 1, 2, 2, 0, 0, 3, -1, 1, 0, 0, 2]);
    expect([...paint(file, ["cell"]).data]).toEqual([0, 1, 2, 2, 0, 0, 0, -1, 1, 0, 0, 2]);
    expect(unpackCounts(packed)).toEqual(counts);
  });

  it("unpacks numbers of several characters and differences", () => {
    // 100 = 3 * 32 + 4: the low bits with the sign that more follow, then 3. The fourth count is stored as the difference to the second.
    const pack = (value: number) => {
      let text = "";
      for (let rest = value; ; ) {
        const bits = rest & 31;
        rest >>= 5;
        const end = bits & 16 ? rest === -1 : rest === 0;
        text += String.fromCharCode(48 + bits + (end ? 0 : 32));
        if (end) return text;
      }
    };
    expect(unpackCounts(pack(100) + pack(7) + pack(40) + pack(3 - 7) + pack(1000 - 40))).toEqual([100, 7, 40, 3, 1000]);
    expect(() => unpackCounts("P")).toThrow(/cut off/);
    expect(() => rowsOfRuns([3, 20], [3, 4])).toThrow(/do not fit/);
    expect(() => rowsOfRuns([3, 2], [3, 4])).toThrow(/cover 5 of 3 x 4/);
  });

  it("pairs by file_name without its folders, and reports images that only one side has", async () => {
    await mkdir(join(root, "images"));
    const picture = encode({ width: 4, height: 3, channels: 1, data: new Uint8Array(12).fill(9) });
    await writeFile(join(root, "images/a.png"), picture);
    await writeFile(join(root, "images/b.png"), picture);
    const images = ["x/a.png", "x/c.png"].map((file_name, id) => ({ id, file_name, height: 3, width: 4 }));
    await writeFile(join(root, "labels.json"), JSON.stringify({ images, annotations: [] }));
    const found = await discover({ imgPath: join(root, "images"), maskPath: join(root, "labels.json") });
    expect(found.pairs).toMatchObject([{ source: "a", annotation: "coco", item: "x/a.png" }]);
    expect(found.problems.map(({ code }) => code).sort()).toEqual(["ERR_NO_IMAGE", "ERR_NO_MASK"]);
  });
});

describe("folders of annotations", () => {
  it("several kinds in one folder are a problem until one is chosen", async () => {
    const picture = encode({ width: 3, height: 3, channels: 1, data: new Uint8Array(9).fill(9) });
    await mkdir(join(root, "images"));
    await mkdir(join(root, "masks/a"), { recursive: true });
    await writeFile(join(root, "images/a.png"), picture);
    await writeFile(
      join(root, "masks/a/1.png"),
      encode({ width: 3, height: 3, channels: 1, data: Uint8Array.of(255, 0, 0, 0, 0, 0, 0, 0, 0) }),
    );
    await writeFile(
      join(root, "masks/a/2.png"),
      encode({ width: 3, height: 3, channels: 1, data: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 255, 255) }),
    );
    await writeFile(join(root, "masks/a.geojson"), collection(feature([square(0, 0, 2)])));
    const paths = { imgPath: join(root, "images"), maskPath: join(root, "masks") };
    expect((await discover(paths)).problems).toMatchObject([{ code: "ERR_ANNOTATION", path: paths.maskPath }]);
    for (const [annotationFormat, cells] of [
      ["geojson", 1],
      ["object_folders", 2],
    ] as const) {
      const { pairs } = await loadDataset({ ...paths, annotationFormat });
      expect(pairs).toMatchObject([{ cells, annotation: annotationFormat }]);
      expect(await filesOf(pairs[0] as never)).toHaveLength(cells + 1);
    }
  });

  it("D50: additional data sets train only, and clashing names get their folder in front", async () => {
    for (const set of ["one", "two"]) {
      for (const stem of ["a", set]) {
        await mkdir(join(root, set, "images"), { recursive: true });
        await writeFile(
          join(root, set, `images/${stem}.png`),
          encode({ width: 2, height: 1, channels: 1, data: Uint8Array.of(1, 2) }),
        );
        await writeLabels(join(root, set, `masks/${stem}.png`), { data: Int32Array.of(0, 3), shape: [1, 2] });
      }
    }
    const folder = (set: string) => ({ imgPath: join(root, set, "images"), maskPath: join(root, set, "masks") });
    const data = await loadDataset({ ...folder("one"), additionalDatasets: [folder("two")] });
    expect(data.pairs.map(({ source }) => source)).toEqual(["a", "one", "two_images_a", "two"]);
    expect(data.trainingOnly).toEqual(["two_images_a", "two"]);
    await rm(join(root, "two/masks/a.png"));
    await expect(loadDataset({ ...folder("one"), additionalDatasets: [folder("two")] })).rejects.toMatchObject({
      code: "ERR_DATASET",
    });
  });

  it("an ignore label is no cell, also beside a binary mask", () => {
    const raw = { data: Uint16Array.of(0, 1, 65535, 1, 65535, 2), dtype: "uint16", shape: [2, 3], alpha: false, notes: [] };
    const labels = toLabels(raw, { ignoreLabel: 65535 });
    expect([[...labels.data], labels.count]).toEqual([[0, 1, -1, 1, -1, 2], 2]);
    const binary = toLabels({ ...raw, data: Uint16Array.of(255, 7, 255, 0, 0, 255) }, { binaryMasks: true, ignoreLabel: 7 });
    expect([[...binary.data], binary.count]).toEqual([[1, -1, 2, 0, 0, 2], 2]);
  });
});

describe("stacks and channels", () => {
  it.skipIf(!python)("OME-TIFF, ImageJ and plain stacks give the planes that tifffile wrote", async () => {
    const script = `
import sys, numpy as np, tifffile
a = np.arange(2 * 3 * 2 * 5 * 7, dtype=np.uint16).reshape(2, 3, 2, 5, 7)  # T Z C Y X
for order in ["TZCYX", "CTZYX", "ZTCYX"]:
    tifffile.imwrite(sys.argv[1] + "/" + order + ".ome.tif", np.transpose(a, ["TZCYX".index(c) for c in order]), metadata={"axes": order})
tifffile.imwrite(sys.argv[1] + "/imagej.tif", a, imagej=True, metadata={"axes": "TZCYX"})
tifffile.imwrite(sys.argv[1] + "/shaped.tif", a, metadata={"axes": "TZCYX"}, photometric="minisblack")
tifffile.imwrite(sys.argv[1] + "/plain.tif", a[0, 0], metadata=None, photometric="minisblack")
tifffile.imwrite(sys.argv[1] + "/half.tif", np.array([[0, 0.5, 1000]], dtype=np.float16))
print("null")`;
    run(script, root);
    const value = (t: number, z: number, c: number) => (((t * 3 + z) * 2 + c) * 5 + 0) * 7;
    for (const name of ["TZCYX.ome.tif", "CTZYX.ome.tif", "ZTCYX.ome.tif", "imagej.tif", "shaped.tif"]) {
      const path = join(root, name);
      const grey = await decodeImage(path, { channels: [1], slice: 2, frame: 1 });
      expect([grey.shape, grey.data[0], grey.data[34]], name).toEqual([[5, 7], value(1, 2, 1), value(1, 2, 1) + 34]);
      const both = await decodeImage(path, { channels: [1, 0], slice: "max", frame: 0 });
      expect([both.shape, ...both.data.subarray(3, 6)], name).toEqual([[5, 7, 3], 0, value(0, 2, 1) + 1, value(0, 2, 0) + 1]);
      await expect(decodeImage(path)).rejects.toThrow(/2 channels, 3 slices, 2 frames.*`channels`/);
      await expect(decodeImage(path, { channels: [0] })).rejects.toThrow(/`slice`/);
      await expect(decodeImage(path, { channels: [0], slice: 0 })).rejects.toThrow(/`frame`/);
      await expect(decodeImage(path, { channels: [2], slice: 0, frame: 0 })).rejects.toThrow(/channel 2 was asked for/);
    }
    expect((await decodeImage(join(root, "plain.tif"), { channels: [1] })).data[0]).toBe(35);
    expect((await decodeImage(join(root, "plain.tif"), { page: 1 })).data[0]).toBe(35);
    await expect(decodeImage(join(root, "plain.tif"))).rejects.toThrow(/does not say/);
    expect([...(await decodeImage(join(root, "half.tif"))).data]).toEqual([0, 0.5, 1000]);
  });
});

describe("restricted pickle", () => {
  it.skipIf(!python)("reads what numpy writes, and never runs what a file names", async () => {
    const script = `
import sys, os, pickle, pathlib, datetime, decimal, uuid, collections, numpy as np
from collections import OrderedDict
class Own:
    def __init__(self, x): self.x = x
Named = collections.namedtuple("Named", "a b")
m = np.zeros((4, 6), np.int32, order="F"); m[1:3, 2:5] = 7; m[0, 0] = 70000
for protocol in (0, 1, 2, 3, 4, 5):
    a = np.empty((), dtype=object); a[()] = {"masks": m, "flows": [m.astype("f4"), None], "est_diam": np.float64(3.5), "filename": pathlib.PurePosixPath("/data/x.png"), "ismanual": np.zeros(2, bool), "n": -2**40, "seen": {1, 2}, "kept": frozenset("a"), "changes": [[datetime.datetime(2026, 11, 29), "added", [1]], [datetime.date(2026, 1, 2), decimal.Decimal("1.5"), uuid.UUID(int=5)]], "object": Own(3), "fields": np.zeros(2, [("a", "i4"), ("b", "f8")]), "dates": np.array(["2026-01-01"], "M8[D]"), "named": Named(1, 2), "counts": collections.Counter("aab"), "by": collections.defaultdict(list, a=[1]), "complex": 1j, "slice": slice(1, 2)}
    with open(f"{sys.argv[1]}/p{protocol}_seg.npy", "wb") as f:
        np.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(a, f, protocol=protocol)
class Evil:
    def __reduce__(self): return (os.system, (f"touch {sys.argv[1]}/executed",))
np.save(f"{sys.argv[1]}/evil_seg.npy", {"masks": Evil()}, allow_pickle=True)
np.save(f"{sys.argv[1]}/aside_seg.npy", {"filename": Evil(), "masks": m}, allow_pickle=True)
np.save(f"{sys.argv[1]}/odd_seg.npy", OrderedDict(masks=m), allow_pickle=True)
np.save(f"{sys.argv[1]}/other_seg.npy", {"labels": m}, allow_pickle=True)
print("null")`;
    run(script, root);
    for (const protocol of [0, 1, 2, 3, 4, 5]) {
      const labels = await decodeLabels(join(root, `p${protocol}_seg.npy`));
      expect([labels.shape, labels.count, labels.data[0], labels.data[8], labels.data[5]]).toEqual([[4, 6], 2, 70000, 7, 0]);
    }
    await expect(decodeLabels(join(root, "evil_seg.npy"))).rejects.toMatchObject({
      code: "ERR_IMAGE_UNSUPPORTED",
      message: expect.stringMatching(/names (posix|os)\.system, which is refused/),
    });
    expect((await decodeLabels(join(root, "odd_seg.npy"))).count).toBe(2);
    // What is not needed is not made, whatever it would do.
    expect((await decodeLabels(join(root, "aside_seg.npy"))).count).toBe(2);
    await expect(decodeLabels(join(root, "other_seg.npy"))).rejects.toThrow(/no array "masks"/);
    const left = run("import os, sys, json; print(json.dumps(os.path.exists(sys.argv[1] + '/executed')))", root);
    expect(left).toBe(false);
    expect(readPickle(Buffer.from("cos\nsystem\n(S'id'\ntR."))).toEqual(new Skipped("os.system"));
  });

  it("skips what other names would make, and reads what stands beside it", () => {
    const text = (value: string) => `X${String.fromCharCode(value.length, 0, 0, 0)}${value}`;
    // A path by REDUCE, a date by NEWOBJ with a state, an object of protocol 1 by OBJ, and a number.
    const path = `${text("file")}cpathlib\nPosixPath\n(${text("/")}${text("a")}tR`;
    const date = `${text("when")}cdatetime\ndatetime\nC\x02ab\x85\x81}${text("zone")}K\x01sb`;
    const object = `${text("own")}(cos\nsystem\n${text("id")}o`;
    const read = readPickle(Buffer.from(`\x80\x02}(${path}${date}${object}${text("n")}K\x07u.`, "latin1"));
    expect(read).toEqual(
      new Map<string, unknown>([
        ["file", new Skipped("pathlib.PosixPath")],
        ["when", new Skipped("datetime.datetime")],
        ["own", new Skipped("os.system")],
        ["n", 7],
      ]),
    );
  });
});
