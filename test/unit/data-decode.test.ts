import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import type { RawImage } from "../../lib/data/image.js";
import { connectedComponents, toLabels } from "../../lib/data/labels.js";
import { toImage } from "../../lib/data/pixels.js";
import { readRaw } from "../../lib/data/reader.js";

interface Expected {
  shape: number[];
  dtype: string;
  sha256: string;
  axes?: string;
  kind?: string;
  min?: number;
}

const FIXTURES = fileURLToPath(new URL("../fixtures/data/", import.meta.url));
const fixtures: Record<string, Expected> = JSON.parse(readFileSync(join(FIXTURES, "expected.json"), "utf8"));

function sha256(array: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }): string {
  return createHash("sha256")
    .update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength))
    .digest("hex");
}

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-decode-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("stored samples equal those that Python put in", () => {
  // geotiff would undo this one in the wrong byte order; it must be refused and is tested below.
  const readable = Object.entries(fixtures).filter(([name]) => name !== "tif16_be_pred2.tif");
  it.each(readable)("%s", async (name, want) => {
    const raw = await readRaw(join(FIXTURES, name));
    expect(raw.shape).toEqual(want.shape);
    if (name !== "png1.png") expect(raw.dtype).toBe(want.dtype);
    expect(sha256(raw.data)).toBe(want.sha256);
  });
});

describe("images", () => {
  const raw = (part: Partial<RawImage>): RawImage => ({
    data: new Uint8Array(),
    dtype: "uint8",
    shape: [],
    alpha: false,
    notes: [],
    ...part,
  });

  it("D42: stretches bool and small depths to 0..255", () => {
    expect([...toImage(raw({ data: Uint8Array.of(0, 1), dtype: "bool", shape: [1, 2], bits: 1 })).data]).toEqual([0, 255]);
    expect([...toImage(raw({ data: Uint8Array.of(0, 1, 2, 3), shape: [2, 2], bits: 2 })).data]).toEqual([0, 85, 170, 255]);
    expect([...toImage(raw({ data: Uint8Array.of(5, 15), shape: [1, 2], bits: 4 })).data]).toEqual([85, 255]);
  });

  it("D42: keeps 16 bit as 16 bit and restores WhiteIsZero", () => {
    const image = toImage(raw({ data: Uint16Array.of(0, 65535, 300), dtype: "uint16", shape: [1, 3], whiteIsZero: true }));
    expect(image.dtype).toBe("uint16");
    expect([...image.data]).toEqual([65535, 0, 65235]);
  });

  it("D44: drops alpha and says whether it varied", () => {
    const rgba = toImage(raw({ data: Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 9), shape: [1, 2, 4], alpha: true }));
    expect([...rgba.data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(rgba.shape).toEqual([1, 2, 3]);
    expect(rgba.notes.join()).toContain("varies");
    const grey = toImage(raw({ data: Uint8Array.of(7, 255, 8, 255), shape: [2, 1, 2], alpha: true }));
    expect([...grey.data]).toEqual([7, 8]);
    expect(grey.shape).toEqual([2, 1]);
    expect(grey.notes.join()).toContain("constant");
  });

  it("D44: squeezes one channel, moves channels that come first, refuses two and five", () => {
    expect(toImage(raw({ data: new Uint8Array(6), shape: [2, 3, 1] })).shape).toEqual([2, 3]);
    const first = toImage(raw({ data: Uint8Array.from({ length: 90 }, (_, i) => i), shape: [3, 5, 6] }));
    expect(first.shape).toEqual([5, 6, 3]);
    expect([...first.data.slice(0, 6)]).toEqual([0, 30, 60, 1, 31, 61]);
    for (const shape of [
      [8, 9, 2],
      [2, 8, 9],
      [8, 9, 5],
    ]) {
      expect(() => toImage(raw({ data: new Uint8Array(shape.reduce((a, b) => a * b)), shape }))).toThrow(/channels/);
    }
  });

  it("takes a fourth channel without declaration as alpha only when it is opaque", () => {
    const data = Uint8Array.from({ length: 5 * 6 * 4 }, (_, i) => (i % 4 === 3 ? 255 : i));
    expect(toImage(raw({ data, shape: [5, 6, 4] })).shape).toEqual([5, 6, 3]);
    data[3] = 254;
    expect(() => toImage(raw({ data, shape: [5, 6, 4] }))).toThrow(/4 channels; say which/);
  });

  it("refuses NaN, infinity and negative values, and narrows without loss", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -0.5]) {
      expect(() => toImage(raw({ data: Float32Array.of(1, bad), dtype: "float32", shape: [1, 2] }))).toThrow(/NaN|negative/);
    }
    expect(() => toImage(raw({ data: Int16Array.of(3, -1), dtype: "int16", shape: [1, 2] }))).toThrow(/negative/);
    expect(toImage(raw({ data: Int32Array.of(3, 65535), dtype: "int32", shape: [1, 2] })).dtype).toBe("uint16");
    expect([...toImage(raw({ data: Int32Array.of(3, 65536), dtype: "int32", shape: [1, 2] })).data]).toEqual([3, 65536]);
    expect(() => toImage(raw({ data: Uint32Array.of(2 ** 24 + 1), dtype: "uint32", shape: [1, 1] }))).toThrow(
      /16 bit or float32/,
    );
    expect(toImage(raw({ data: Float64Array.of(0.25), dtype: "float64", shape: [1, 1] })).dtype).toBe("float32");
  });
});

describe("label maps", () => {
  const raw = (part: Partial<RawImage>): RawImage => ({
    data: new Uint8Array(),
    dtype: "uint8",
    shape: [1, 4],
    alpha: false,
    notes: [],
    ...part,
  });

  it("keeps ids, also sparse and large ones, and counts them", () => {
    const labels = toLabels(raw({ data: Float64Array.of(0, 2147483647, 7, 7), dtype: "int64" }));
    expect([...labels.data]).toEqual([0, 2147483647, 7, 7]);
    expect(labels.count).toBe(2);
  });

  it("refuses negative, fractional and too large ids", () => {
    expect(() => toLabels(raw({ data: Int32Array.of(0, -1, 1, 1) }))).toThrow(/negative label -1/);
    const fraction = Float32Array.of(1, 1, 2.5, 1, 1, 1, 2, 2);
    expect(() => toLabels(raw({ data: fraction, shape: [2, 4] }))).toThrow(/2\.5 at row 0, column 2/);
    expect(() => toLabels(raw({ data: Float32Array.of(0, Number.NaN, 2, 1) }))).toThrow(/NaN/);
    expect(() => toLabels(raw({ data: Uint32Array.of(0, 2 ** 31, 2, 1) }))).toThrow(/2147483648/);
  });

  it("D43: never splits a single cell, and asks before it splits a binary mask", () => {
    const apart = Uint8Array.of(1, 0, 1, 1);
    expect(toLabels(raw({ data: apart })).count).toBe(1);
    const binary = Uint8Array.of(255, 0, 255, 255);
    expect(() => toLabels(raw({ data: binary }))).toThrow(/binary_masks: true/);
    expect(() => toLabels(raw({ data: apart, dtype: "bool" }))).toThrow(/binary_masks: true/);
    expect([...toLabels(raw({ data: binary }), { binaryMasks: true }).data]).toEqual([1, 0, 2, 2]);
  });

  it("cuts probabilities at half of the highest, and refuses what is none", () => {
    // A network's output is nowhere quite 0.
    const probabilities = Float32Array.of(0.01, 0.9, 0.4, 0.02, 0.6, 0.03);
    const shape = [1, 6];
    expect([...toLabels(raw({ data: probabilities, shape, dtype: "float32" }), { binaryMasks: true }).data]).toEqual([
      0, 1, 0, 0, 2, 0,
    ]);
    for (const bad of [Number.NaN, -1]) {
      const data = Float32Array.of(0, bad, 1, 1);
      expect(() => toLabels(raw({ data, dtype: "float32" }), { binaryMasks: true })).toThrow(/negative or no numbers/);
    }
    const ignored = Int32Array.of(0, -1, 1, 1);
    expect([...toLabels(raw({ data: ignored, dtype: "int32" }), { binaryMasks: true, ignoreLabel: -1 }).data]).toEqual([
      0, -1, 1, 1,
    ]);
  });

  it("tells a photograph from a label map", () => {
    // 40 columns of narrow cells: 5 px wide they change in a fifth of all places, 3 px wide in a third.
    const stripes = (cell: number) => Uint8Array.from({ length: 160 }, (_, i) => 1 + Math.floor(i / cell));
    expect(toLabels(raw({ data: stripes(5), shape: [1, 160] })).count).toBe(32);
    expect(() => toLabels(raw({ data: stripes(3), shape: [1, 160] }))).toThrow(/swapped/);
    expect(toLabels(raw({ data: Uint8Array.of(0, 1, 1, 0) })).notes).toEqual([]);
  });

  it("reads RGB only when the channels are equal", () => {
    expect([...toLabels(raw({ data: Uint8Array.of(3, 3, 3, 0, 0, 0), shape: [2, 1, 3] })).data]).toEqual([3, 0]);
    expect(() => toLabels(raw({ data: Uint8Array.of(3, 3, 4, 0, 0, 0), shape: [2, 1, 3] }))).toThrow(/coloured/);
  });

  it("connects over edges, not over corners or row ends", () => {
    // Row ends: the last pixel of row 0 and the first of row 1 are not neighbours.
    const mask = [1, 0, 1, 1, 0, 0, 0, 1, 1];
    expect([...connectedComponents(mask, 3, 3).data]).toEqual([1, 0, 2, 1, 0, 0, 0, 3, 3]);
  });

  it("takes the indices of an indexed picture", async () => {
    const labels = await decodeLabels(join(FIXTURES, "png4_palette.png"));
    expect(sha256(Uint8Array.from(labels.data))).toBe(fixtures["png4_palette.png"]?.sha256);
  });
});

describe("bad files", () => {
  it("refuses what would be read wrongly or run code", async () => {
    await expect(decodeImage(join(FIXTURES, "tif16_be_pred2.tif"))).rejects.toThrow(
      /big-endian TIFF with a horizontal predictor/,
    );
    await expect(decodeImage(join(FIXTURES, "npy_object.npy"))).rejects.toThrow(/pickled/);
    await copyFile(join(FIXTURES, "png16_rgb.png"), join(folder, "mask.jpg"));
    await expect(decodeLabels(join(folder, "mask.jpg"))).rejects.toThrow(/JPEG is lossy/);
  });

  it("names missing files and folders", async () => {
    await expect(decodeImage(join(folder, "none.png"))).rejects.toMatchObject({
      code: "ERR_FILE",
      message: expect.stringContaining("none.png"),
    });
    await expect(decodeImage(folder)).rejects.toMatchObject({ code: "ERR_FILE" });
  });

  it("holds to max_pixels before anything is decoded", async () => {
    await expect(decodeImage(join(FIXTURES, "png1.png"), { maxPixels: 220 })).rejects.toMatchObject({
      code: "ERR_IMAGE_TOO_LARGE",
    });
    await expect(decodeImage(join(FIXTURES, "png1.png"), { maxPixels: 221 })).resolves.toMatchObject({ shape: [13, 17] });
  });

  it("refuses a PNG whose stream has another length, and one whose checksum is wrong", async () => {
    const bytes = await readFile(join(FIXTURES, "png8_grey_alpha.png"));
    const at = bytes.indexOf("IHDR");
    // One row more, or fewer, than the stream holds: the header's own checksum is made right, so that only the length is wrong.
    for (const [height, message] of [
      [14, /455 bytes of pixels where its size needs 490/],
      [12, /damaged/],
    ] as const) {
      const other = Buffer.from(bytes);
      other.writeUInt32BE(height, at + 8);
      other.writeUInt32BE(crc32(other.subarray(at, at + 17)), at + 17);
      await writeFile(join(folder, "length.png"), other);
      await expect(readRaw(join(folder, "length.png"))).rejects.toThrow(message);
    }
    const checksum = Buffer.from(bytes);
    checksum.writeUInt32BE(1, at + 17);
    await writeFile(join(folder, "crc.png"), checksum);
    await expect(readRaw(join(folder, "crc.png"))).rejects.toThrow(/damaged/);
  });

  it("refuses a TIFF with a strip that is missing or lies outside the file", async () => {
    const bytes = await readFile(join(FIXTURES, "tif16_strips.tif"));
    const entries = bytes.readUInt32LE(4);
    const tags = Array.from({ length: bytes.readUInt16LE(entries) }, (_, i) => entries + 2 + 12 * i);
    const counts = tags.find((tag) => bytes.readUInt16LE(tag) === 279) ?? 0;
    const list = bytes.readUInt32LE(counts + 8);
    for (const count of [0, 60000]) {
      const damaged = Buffer.from(bytes);
      if (bytes.readUInt16LE(counts + 2) === 3) damaged.writeUInt16LE(count, list);
      else damaged.writeUInt32LE(count, list);
      await writeFile(join(folder, "strips.tif"), damaged);
      await expect(readRaw(join(folder, "strips.tif")), String(count)).rejects.toThrow(/cut off/);
    }
  });

  it("fails with a code, or returns whole pixels, for any cut and any flipped byte", async () => {
    for (const name of [
      "png16_rgb.png",
      "png8_adam7.png",
      "tif8_rgb_lzw_pred2.tif",
      "tif_float32_tiled.tif",
      "tif16_strips.tif",
      "npy_i4_be.npy",
    ]) {
      const bytes = await readFile(join(FIXTURES, name));
      const target = join(folder, name);
      for (let trial = 0; trial < 60; trial++) {
        const at = (trial * 7919) % bytes.length;
        const damaged = trial % 2 ? Buffer.from(bytes.subarray(0, at)) : Buffer.from(bytes);
        if (trial % 2 === 0) damaged[at] = (damaged[at] ?? 0) ^ (1 << (trial % 8));
        await writeFile(target, damaged);
        try {
          const { data, shape } = await readRaw(target);
          expect(data.length).toBe(shape.reduce((a, b) => a * b));
          // PNG carries checksums over everything: whatever is read must be the pixels that were written.
          if (name.endsWith(".png")) expect(sha256(data)).toBe(fixtures[name]?.sha256);
        } catch (error) {
          expect((error as { code?: string }).code, `${name} trial ${trial}: ${error}`).toMatch(/^ERR_IMAGE_/);
        }
      }
    }
  });
});
