// Every file of shared/data/formats and shared/data/variety: pixels and objects as their lists say, written by Python. CELLSAM_DATA names
// another folder of the same form.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { checkDataset } from "../../lib/data/check.js";
import { decodeImage, decodeLabels, surveyObjects } from "../../lib/data/decode.js";
import { discover } from "../../lib/data/discover.js";
import type { Annotation, LabelMap, RawImage } from "../../lib/data/image.js";
import { pairLabels } from "../../lib/data/pair.js";
import { readRaw } from "../../lib/data/reader.js";
import { root } from "../programs.js";

interface Listed {
  kind: "image" | "mask";
  stem?: string;
  shape?: number[];
  axes?: string;
  dtype?: string;
  min?: number;
  max?: number;
  sha256?: string;
  n_objects: number;
  merged_sha256_uint16?: string;
  raster_sha256_uint16?: string;
  components_4conn?: number;
  same_as?: string;
  images?: Record<string, { n_objects: number; exact: boolean }>;
}

const data = resolve(root, process.env.CELLSAM_DATA ?? "../shared/data");
const formats = join(data, "formats");
const variety = join(data, "variety");
const there = existsSync(join(formats, "expected.json")) && existsSync(join(variety, "index.json"));
if (!there) console.warn(`SKIPPED: no formats and variety in ${data}; set CELLSAM_DATA`);
const files: Record<string, Listed> = there ? JSON.parse(readFileSync(join(formats, "expected.json"), "utf8")).files : {};

const sha256 = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
const extremes = (values: ArrayLike<number>) => {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i] as number);
    high = Math.max(high, values[i] as number);
  }
  return [low, high];
};

/** [H,W,C] to [C,H,W]. */
function planar(raw: RawImage): RawImage {
  const [height = 0, width = 0, channels = 1] = raw.shape;
  const values = raw.data.slice();
  for (let i = 0; i < height * width; i++)
    for (let c = 0; c < channels; c++) values[c * height * width + i] = raw.data[i * channels + c] ?? 0;
  return { ...raw, data: values, shape: [channels, height, width] };
}

/** As a plain Python reader returns it. */
async function plain(path: string, want: Listed): Promise<RawImage> {
  const pages = /^[QC]YX$/.test(want.axes ?? "") && /\.tif$/.test(path);
  const raw = await readRaw(
    path,
    pages ? { channels: Array.from({ length: want.shape?.[0] ?? 0 }, (_, i) => i) } : {},
    want.kind === "mask" ? "labels" : "image",
  );
  if (raw.palette) {
    const { palette } = raw;
    const values = Uint8Array.from([...raw.data].flatMap((index) => [...palette.subarray(index * 3, index * 3 + 3)]));
    return { ...raw, data: values, shape: [...raw.shape, 3] };
  }
  return pages || want.axes === "SYX" ? planar(raw) : raw;
}

const reference = (stem: string) => decodeLabels(join(formats, "masks/png16", `${stem}.png`));
const as16 = ({ data: ids }: LabelMap) => sha256(Uint16Array.from(ids));

describe.skipIf(!there)("D44: images of every format", () => {
  const images = Object.entries(files).filter(([, { kind }]) => kind === "image");
  it.each(images)("%s", async (name, want) => {
    const raw = await plain(join(formats, name), want);
    expect(raw.shape).toEqual(want.shape);
    if (/\.jpe?g$/.test(name)) return;
    expect(raw.dtype).toBe(want.dtype);
    const stored = raw.dtype === "int64" ? BigInt64Array.from([...raw.data].map(BigInt)) : raw.data;
    expect(extremes(raw.data)).toEqual([want.min, want.max]);
    expect(sha256(stored)).toBe(want.sha256);
  });

  it("float images with negative values are refused, WhiteIsZero shows the picture", async () => {
    await expect(decodeImage(join(formats, "images/tif_float32_deflate_pred3/dsb_29dd28df98ee.tif"))).rejects.toMatchObject({
      code: "ERR_IMAGE_VALUES",
    });
    const white = await decodeImage(join(formats, "images/tif_miniswhite/dsb_29dd28df98ee.tif"));
    const grey = await decodeImage(join(formats, "images/png_grey8/dsb_29dd28df98ee.png"));
    expect(white.data).toEqual(grey.data);
  });
});

describe.skipIf(!there)("annotations of every format", () => {
  const single = Object.entries(files).filter(([, { kind, stem }]) => kind === "mask" && stem);
  it.each(single)("%s", async (name, want) => {
    const truth = await reference(want.stem as string);
    const path = join(formats, name.replace(/\/$/, ""));
    if (want.components_4conn !== undefined) {
      await expect(decodeLabels(path)).rejects.toMatchObject({
        code: "ERR_LABEL_VALUES",
        message: expect.stringContaining("binary_masks"),
      });
      expect((await decodeLabels(path, { binaryMasks: true })).count).toBe(want.components_4conn);
      return;
    }
    const annotation: Annotation = name.endsWith("/")
      ? "object_folders"
      : name.endsWith(".geojson")
        ? "geojson"
        : "label_images";
    const labels = await decodeLabels(path, { annotation, size: truth.shape });
    expect(labels.shape).toEqual(want.shape);
    expect(labels.count).toBe(want.n_objects);
    expect(labels.notes).toEqual([]);
    const merged = want.merged_sha256_uint16 ?? want.raster_sha256_uint16;
    if (merged) expect(as16(labels)).toBe(merged);
    if (want.max !== undefined) expect(extremes(labels.data)).toEqual([want.min, want.max]);
    // The same objects as in the reference: sparse ids are a renaming.
    const ids = new Map<number, number>();
    for (let i = 0; i < labels.data.length; i++) {
      const [ours, theirs] = [labels.data[i] ?? 0, truth.data[i] ?? 0];
      if ((ids.get(ours) ?? theirs) !== theirs) expect.fail(`pixel ${i} belongs to another object`);
      ids.set(ours, theirs);
    }
    expect(new Set(ids.values()).size).toBe(ids.size);
  });

  const coco = Object.entries(files).filter(([, { images }]) => images);
  it.each(coco)("%s", async (name, want) => {
    const path = join(formats, name);
    expect((await surveyObjects(path)).images).toHaveLength(Object.keys(want.images ?? {}).length);
    const found = await discover({ imgPath: join(formats, "images/png_rgb8"), maskPath: path });
    expect(found.problems).toEqual([]);
    const { pairs, cells } = await checkDataset(found.pairs);
    const exact = Object.values(want.images ?? {}).every((image) => image.exact);
    if (exact) expect(cells).toBe(want.n_objects);
    for (const pair of pairs) {
      const objects = want.images?.[pair.source]?.n_objects;
      const labels = await pairLabels(pair);
      const truth = await reference(pair.source);
      expect(labels.count).toBe(objects);
      const equal = labels.data.reduce((sum, id, i) => sum + Number(id === truth.data[i]), 0) / labels.data.length;
      if (exact) expect(equal).toBe(1);
      else expect(equal).toBeGreaterThan(0.97);
    }
  });

  const folders = there ? readdirSync(join(formats, "masks")).filter((name) => !/coco|binary/.test(name)) : [];
  it.each(folders)("discover pairs the folder %s", async (name) => {
    const found = await discover({ imgPath: join(formats, "images/png_grey8"), maskPath: join(formats, "masks", name) });
    expect(found.problems).toEqual([]);
    expect((await checkDataset(found.pairs)).cells).toBe(136);
  });
});

describe.skipIf(!there)("variety", () => {
  type Row = Listed & { image: string; mask: string };
  const rows: Row[] = there ? JSON.parse(readFileSync(join(variety, "index.json"), "utf8")) : [];
  it.each(rows.map((row): [string, Row] => [row.image, row]))("%s", async (name, want) => {
    const raw = await plain(join(variety, "images", name), { ...want, kind: "image" });
    expect([raw.shape, raw.dtype, extremes(raw.data)]).toEqual([want.shape, want.dtype, [want.min, want.max]]);
    expect((await decodeLabels(join(variety, "masks", want.mask))).count).toBe(want.n_objects);
    const path = join(variety, "images", name);
    if (want.axes !== "CYX") return expect((await decodeImage(path)).shape).toEqual(want.shape);
    await expect(decodeImage(path)).rejects.toThrow(/2 channels.*`channels`/);
    const [, height = 0, width = 0] = want.shape ?? [];
    const both = await decodeImage(path, { channels: [1, 0] });
    expect(both.shape).toEqual([height, width, 3]);
    const one = await decodeImage(path, { channels: [1] });
    for (let i = 0; i < one.data.length; i++) {
      const [red, green, blue] = both.data.subarray(3 * i, 3 * i + 3);
      if (red !== 0 || green !== one.data[i] || blue !== raw.data[i]) expect.fail(`pixel ${i}`);
    }
  });
});
