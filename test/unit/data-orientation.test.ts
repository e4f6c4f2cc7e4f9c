// EXIF orientation: pixels as viewers show them, unless the mask fits the stored ones. sharp turns the reference.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { encode } from "fast-png";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDataset } from "../../lib/data/dataset.js";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import { turned } from "../../lib/data/orientation.js";
import { pairImage, pairLabels } from "../../lib/data/pair.js";
import { tiffOf } from "./tiff-files.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-orientation-"));
});
afterAll(() => rm(folder, { recursive: true }));

const [height, width] = [24, 40];
const pixels = Uint8Array.from({ length: height * width }, (_, i) => (i * 37 + Math.floor(i / width) * 11) % 251);
const all = [1, 2, 3, 4, 5, 6, 7, 8];
const sides = (orientation: number) => (orientation >= 5 ? [width, height] : [height, width]);
const raw = { width, height, channels: 1 as const };

const write = async (path: string, bytes: Uint8Array) => {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return path;
};
const jpeg = (orientation: number) => sharp(Buffer.from(pixels), { raw }).jpeg().withMetadata({ orientation }).toBuffer();
const upright = async (orientation: number) =>
  new Uint8Array(
    await sharp(await sharp(Buffer.from(pixels), { raw }).png().withMetadata({ orientation }).toBuffer())
      .rotate()
      .toColourspace("b-w")
      .raw()
      .toBuffer(),
  );
/** A PNG whose eXIf is a big-endian directory of one tag. */
function png(data: Uint8Array | Uint16Array, orientation: number, size = { width, height }): Uint8Array {
  const file = Buffer.from(encode({ ...size, channels: 1, depth: data instanceof Uint16Array ? 16 : 8, data }));
  const exif = Buffer.from([0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
  const chunk = Buffer.alloc(12 + exif.length);
  chunk.writeUInt32BE(exif.length);
  chunk.write("eXIf", 4, "latin1");
  exif.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + exif.length)), 8 + exif.length);
  return Buffer.concat([file.subarray(0, 33), chunk, file.subarray(33)]);
}
const tiff = (data: Uint8Array, orientation: number) =>
  tiffOf([{ width, height, bits: 8, pixels: data, tags: [[274, 3, [orientation]]] }]);

describe("an orientation", () => {
  it.each(all)("of %i turns pixels as sharp does", async (orientation) => {
    expect(turned({ data: pixels, shape: [height, width] }, orientation)).toEqual({
      data: await upright(orientation),
      shape: sides(orientation),
    });
    // Colours stay together.
    const colours = Uint8Array.from({ length: 3 * pixels.length }, (_, i) => (pixels[Math.floor(i / 3)] as number) + (i % 3));
    const colour = turned({ data: colours, shape: [height, width, 3] }, orientation);
    expect(colour.shape).toEqual([...sides(orientation), 3]);
    expect(colour.data.filter((_, i) => i % 3 === 1)).toEqual((await upright(orientation)).map((value) => value + 1));
  });

  it.each(all)("of %i is applied to JPEG, PNG and TIFF, without masks too", async (orientation) => {
    const want = await upright(orientation);
    for (const [name, bytes] of [
      ["a.png", png(pixels, orientation)],
      ["a.tif", tiff(pixels, orientation)],
    ] as const) {
      const image = await decodeImage(await write(join(folder, name), bytes));
      expect([image.shape, image.data]).toEqual([sides(orientation), want]);
      expect(image.notes.join().includes("EXIF orientation")).toBe(orientation !== 1);
    }
    const image = await decodeImage(await write(join(folder, "a.jpg"), await jpeg(orientation)));
    const decoded = await sharp(join(folder, "a.jpg")).rotate().raw().toBuffer();
    // sharp makes RGB of grey where it writes EXIF.
    expect([image.shape, image.data]).toEqual([[...sides(orientation), 3], new Uint8Array(decoded)]);
    // A mask is turned by its own.
    const labels = await decodeLabels(
      await write(
        join(folder, "m.png"),
        png(
          pixels.map((v) => Number(v > 120)),
          orientation,
        ),
      ),
    );
    expect([...labels.data]).toEqual([...want].map((v) => Number(v > 120)));
  });

  it("that is damaged, or none of the eight, says nothing", async () => {
    for (const orientation of [0, 9]) {
      expect((await decodeImage(await write(join(folder, "odd.tif"), tiff(pixels, orientation)))).shape).toEqual([
        height,
        width,
      ]);
      expect((await decodeImage(await write(join(folder, "odd.png"), png(pixels, orientation)))).shape).toEqual([
        height,
        width,
      ]);
    }
  });
});

describe("a pair", () => {
  /** One cell in the corner that the viewer shows top left. */
  const corner = (rows: number, columns: number) =>
    Uint16Array.from({ length: rows * columns }, (_, i) => Number(i % columns < 9 && Math.floor(i / columns) < 7));
  async function read(name: string, orientation: number, mask: readonly [number, number]) {
    const own = join(folder, name);
    await write(join(own, "i", "a.png"), png(pixels, orientation));
    const [rows, columns] = mask;
    await write(
      join(own, "m", "a.png"),
      encode({ width: columns, height: rows, channels: 1, depth: 16, data: corner(rows, columns) }),
    );
    const { pairs } = await loadDataset({ imgPath: join(own, "i"), maskPath: join(own, "m") });
    const pair = pairs[0] as (typeof pairs)[number];
    const [image, labels] = [await pairImage(pair), await pairLabels(pair)];
    expect(image.shape).toEqual(labels.shape);
    expect([pair.height, pair.width]).toEqual(labels.shape);
    return { pair, image };
  }

  it.each(all)("with orientation %i is turned where the mask fits the turned image", async (orientation) => {
    const { image } = await read(`fits${orientation}`, orientation, sides(orientation) as [number, number]);
    expect(image.data).toEqual(await upright(orientation));
  });

  it.each([5, 6, 7, 8])("with orientation %i stays as stored where the mask fits only so", async (orientation) => {
    const { image, pair } = await read(`stored${orientation}`, orientation, [height, width]);
    expect(image.data).toEqual(pixels);
    expect(pair.notes.join()).toMatch(/EXIF orientation.*not applied/);
  });

  it("that fits neither way is refused with the word EXIF and both sizes", async () => {
    await expect(read("neither", 6, [30, 30])).rejects.toThrow(
      /30 x 30.*40 x 24 pixels \(stored as 24 x 40, with the EXIF orientation 6\)/,
    );
  });

  it("is turned together where both carry the same orientation", async () => {
    const own = join(folder, "both");
    const block = pixels.map((_, i) => (i % width < 9 && Math.floor(i / width) < 7 ? 250 : 10));
    await write(join(own, "i", "a.tif"), tiff(block, 4));
    await write(
      join(own, "m", "a.tif"),
      tiff(
        block.map((v) => Number(v > 120)),
        4,
      ),
    );
    const { pairs } = await loadDataset({ imgPath: join(own, "i"), maskPath: join(own, "m") });
    const [image, labels] = [await pairImage(pairs[0] as never), await pairLabels(pairs[0] as never)];
    expect([...labels.data]).toEqual([...image.data].map((v) => Number(v > 120)));
    expect(labels.data[0]).toBe(0);
  });
});
