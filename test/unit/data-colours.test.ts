// What colours and channels mean: one channel shown in colour is a grey image, and a fourth channel that varies is a channel.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage } from "../../lib/data/decode.js";
import type { NdImage, RawImage, Samples } from "../../lib/data/image.js";
import { imageFindings } from "../../lib/data/imageFindings.js";
import { pairImage } from "../../lib/data/pair.js";
import { toImage } from "../../lib/data/pixels.js";
import { drawnField, photographed, random, writePng } from "./drawn-cells.js";
import { tiffOf } from "./tiff-files.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-colours-"));
});
afterAll(() => rm(folder, { recursive: true }));

const field = drawnField(3);
const { side } = field;
const grey = photographed(field);
const other = photographed(drawnField(4), 2);
const raw = (data: Samples, channels: number, more: Partial<RawImage> = {}): RawImage => ({
  data,
  dtype: "uint8",
  shape: channels === 1 ? [side, side] : [side, side, channels],
  alpha: false,
  notes: [],
  ...more,
});
/** Channels side by side to [H,W,C]. */
const mixed = (...channels: ArrayLike<number>[]) =>
  Uint8Array.from(
    { length: side * side * channels.length },
    (_, i) => channels[i % channels.length]?.[Math.floor(i / channels.length)] ?? 0,
  );
const empty = new Uint8Array(side * side);
const wasGrey = ({ shape, data }: NdImage) => {
  expect(shape).toEqual([side, side]);
  expect(data).toEqual(grey);
};

describe("one channel in colour", () => {
  it.each([
    ["red", mixed(grey, empty, empty)],
    ["green", mixed(empty, grey, empty)],
    ["blue", mixed(empty, empty, grey)],
    ["magenta", mixed(grey, empty, grey)],
    ["yellow", mixed(grey, grey, empty)],
    ["cyan", mixed(empty, grey, grey)],
    [
      "yellow",
      mixed(
        grey,
        grey.map((value) => Math.round(value * 0.6)),
        empty,
      ),
    ],
    // Other channels that are constant hold nothing either.
    [
      "red",
      mixed(
        grey,
        empty.map(() => 7),
        empty.map(() => 3),
      ),
    ],
  ])("%s is read as grey", (name, data) => {
    const image = toImage(raw(data, 3));
    wasGrey(image);
    expect(image.oneColour).toBe(name);
  });

  it("stays in colour where a setting says what colours mean", async () => {
    const path = join(folder, "red.png");
    await writePng(path, mixed(grey, empty, empty), [side, side], 3);
    wasGrey(await pairImage({ image: path }));
    for (const said of [
      { nuclearChannel: "red" },
      { wholeCellChannel: "red" },
      { rgbTransform: true },
      { stainTransform: true },
      { channels: [0, 1, 2] },
    ])
      expect((await pairImage({ image: path }, said)).shape, JSON.stringify(said)).toEqual([side, side, 3]);
    wasGrey(await pairImage({ image: path }, { channels: [0] }));
  });

  it("is not seen in two channels of different content, however dim, nor in grey or in colours", () => {
    const dim = other.map((value) => value >> 3);
    for (const data of [
      mixed(empty, grey, other),
      mixed(empty, dim, grey),
      mixed(empty, grey, dim),
      mixed(grey, other, empty),
      mixed(grey, grey, grey),
      mixed(grey, other, dim),
    ]) {
      const image = toImage(raw(data, 3));
      expect(image.shape).toEqual([side, side, 3]);
      expect(image.data).toEqual(data);
    }
  });

  it.each([50, 75, 95])("is seen through the noise of JPEG of quality %i", async (quality) => {
    for (const [c, name] of ["red", "green", "blue"].entries()) {
      for (const chromaSubsampling of ["4:2:0", "4:4:4"]) {
        const pixels = Buffer.from(mixed(...[0, 1, 2].map((k) => (k === c ? grey : empty))));
        const path = join(folder, `${name}.jpg`);
        const options = { raw: { width: side, height: side, channels: 3 as const } };
        await writeFile(path, await sharp(pixels, options).jpeg({ quality, chromaSubsampling }).toBuffer());
        const image = await decodeImage(path);
        expect([image.shape, image.oneColour]).toEqual([[side, side], name]);
      }
    }
    const two = Buffer.from(
      mixed(
        empty,
        other.map((value) => value >> 1),
        grey,
      ),
    );
    const path = join(folder, "two.jpg");
    await writeFile(
      path,
      await sharp(two, { raw: { width: side, height: side, channels: 3 } })
        .jpeg({ quality })
        .toBuffer(),
    );
    expect((await decodeImage(path)).shape).toEqual([side, side, 3]);
  });

  it("in 16 bit and float keeps its values", () => {
    const wide = Uint16Array.from({ length: side * side * 3 }, (_, i) =>
      i % 3 === 1 ? 300 * (grey[Math.floor(i / 3)] as number) : 0,
    );
    const image = toImage(raw(wide, 3, { dtype: "uint16" }));
    expect([image.shape, image.dtype, image.data[5]]).toEqual([[side, side], "uint16", 300 * (grey[5] as number)]);
    // One count in another channel is a measurement.
    wide[0] = 1;
    expect(toImage(raw(wide.slice(), 3, { dtype: "uint16" })).shape).toEqual([side, side]);
    wide[0] = 90;
    expect(toImage(raw(wide, 3, { dtype: "uint16" })).shape).toEqual([side, side, 3]);
  });
});

describe("colour tables", () => {
  const ramp = (red: number, green: number, blue: number) =>
    Uint8Array.from({ length: 768 }, (_, i) => Math.round(Math.floor(i / 3) * ([red, green, blue][i % 3] as number)));
  it("of one hue display the values", () => {
    for (const [palette, name] of [
      [ramp(1, 0, 0), "red"],
      [ramp(0, 1, 1), "cyan"],
      [ramp(1, 0.5, 0), "yellow"],
      [ramp(1, 1, 1), undefined],
    ] as const) {
      const image = toImage(raw(grey, 1, { palette }));
      wasGrey(image);
      expect(image.oneColour).toBe(name);
    }
    // Shown inverted, as a grey image that is stored inverted.
    const inverted = Uint8Array.from({ length: 768 }, (_, i) => (i % 3 === 1 ? 255 - Math.floor(i / 3) : 0));
    expect(toImage(raw(grey, 1, { palette: inverted })).data).toEqual(grey.map((value) => 255 - value));
  });

  it("of several hues are looked up", () => {
    const next = random(5);
    const palette = Uint8Array.from({ length: 768 }, () => next() * 256);
    const image = toImage(raw(grey, 1, { palette }));
    expect(image.shape).toEqual([side, side, 3]);
    const first = (grey[0] as number) * 3;
    expect([...image.data.slice(0, 3)]).toEqual([...palette.slice(first, first + 3)]);
    expect(toImage(raw(grey, 1, { palette: ramp(1, 0, 0) }), undefined, true).shape).toEqual([side, side, 3]);
  });

  it("of TIFF in 16 bit leave the 16 bit", async () => {
    const pixels = Uint16Array.from(grey, (value) => value * 257);
    const entries = Array.from({ length: 65536 }, (_, i) => i);
    const none = new Array(65536).fill(0);
    const tags: [number, number, number[]][] = [
      [262, 3, [3]],
      [320, 3, [...none, ...entries, ...none]],
    ];
    await writeFile(join(folder, "lut.tif"), tiffOf([{ width: side, height: side, bits: 16, pixels, tags }]));
    const image = await decodeImage(join(folder, "lut.tif"));
    expect([image.dtype, image.oneColour, [...image.data]]).toEqual(["uint16", "green", [...pixels]]);
  });
});

describe("a channel that is called alpha", () => {
  const four = (last: ArrayLike<number>) =>
    mixed(
      grey,
      other,
      grey.map((value) => value >> 1),
      last,
    );
  it("is alpha when it is constant or mostly opaque", () => {
    const opaque = Uint8Array.from({ length: side * side }, (_, i) => (i % side < 10 ? i % 200 : 255));
    for (const alpha of [empty, empty.map(() => 255), opaque])
      expect(toImage(raw(four(alpha), 4, { alpha: true })).shape).toEqual([side, side, 3]);
    expect(toImage(raw(mixed(grey, opaque), 2, { alpha: true })).shape).toEqual([side, side]);
  });

  it("and varies like the others is refused, unless channels are chosen", () => {
    for (const dtype of ["uint8", "uint16", "float32"]) {
      const data = { uint8: four(other), uint16: Uint16Array.from(four(other)), float32: Float32Array.from(four(other)) }[
        dtype
      ] as Samples;
      const stored = raw(data, 4, { alpha: true, dtype });
      expect(() => toImage(stored)).toThrow(/4 channels.*alpha, varies.*channels: \[1\]/);
      const fourth = toImage(stored, [3]);
      expect([fourth.shape, Array.from(fourth.data)]).toEqual([[side, side], Array.from(other)]);
    }
    expect(() => toImage(raw(mixed(grey, other), 2, { alpha: true }))).toThrow(/2 channels/);
    expect(() => toImage(raw(four(empty), 4, { alpha: true }), [3])).toThrow(/channel 3 was asked for/);
  });

  it("of a TIFF in planes too, as scripts write four stains", async () => {
    const planes = Uint16Array.from([grey, other, grey, other].flatMap((plane) => [...plane]));
    const tags: [number, number, number[]][] = [
      [284, 3, [2]],
      [338, 3, [2]],
    ];
    const path = join(folder, "four.tif");
    await writeFile(path, tiffOf([{ width: side, height: side, bits: 16, samples: 4, pixels: planes, tags }]));
    await expect(decodeImage(path)).rejects.toThrow(/4 channels/);
    expect([...(await decodeImage(path, { channels: [3] })).data]).toEqual([...other]);
    expect([...(await decodeImage(path, { channels: [0, 1] })).data.slice(0, 3)]).toEqual([0, grey[0], other[0]]);
  });
});

describe("findings", () => {
  it("name the setting that keeps colours, and blue is CellSAM's own way to show grey", () => {
    expect(imageFindings([{ channels: 1 }, { channels: 3 }, { channels: 1, oneColour: "blue" }])).toEqual([]);
    const red = { channels: 1 as const, oneColour: "red" };
    expect(imageFindings([red, red])).toEqual([expect.stringMatching(/^2 of 2 images.*\(red\).*channels: \[0, 1, 2\]/)]);
    expect(imageFindings([{ channels: 1, turnedUnasked: true }, { channels: 1 }])).toEqual([
      expect.stringMatching(/^1 of 2 images have an EXIF orientation/),
    ]);
    expect(imageFindings([red, { channels: 3 }])[0]).toMatch(/other images have several colours/);
  });
});
