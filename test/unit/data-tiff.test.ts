// TIFF files of microscopes and scripts: several planes, few directories, wide integers, damage. Every file is written here.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import { encodeNpy } from "../../lib/data/formats/npy.js";
import { type TiffPage, tiffOf } from "./tiff-files.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-tiff-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function written(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

const [width, height] = [6, 5];
/** A page of 16 bit, all of one value. */
const page = (value: number, tags: TiffPage["tags"] = []): TiffPage => ({
  width,
  height,
  bits: 16,
  pixels: new Uint16Array(width * height).fill(value),
  tags,
});
/** Planes of one value each, one after the other behind one directory. */
const contiguous = (values: number[], tags: TiffPage["tags"] = []): TiffPage => ({
  ...page(0, tags),
  pixels: Uint16Array.from(values.flatMap((value) => new Array(width * height).fill(value))),
});
const imageJ = (lines: string): TiffPage["tags"] => [[270, 2, `ImageJ=1.53\n${lines}\n`]];

describe("directories", () => {
  it("that lead back to themselves, or to an earlier one, are an error and no endless loop", async () => {
    const three = [page(1), page(2), page(3)];
    const circles: Record<number, number>[] = [{ 0: 0 }, { 1: 0 }, { 2: 2 }, { 2: 1 }];
    for (const [i, next] of circles.entries()) {
      const path = await written(`circle${i}.tif`, tiffOf(three, next));
      await expect(decodeImage(path, { page: 0 })).rejects.toMatchObject({
        code: "ERR_IMAGE_BROKEN",
        message: expect.stringMatching(/circle/),
      });
    }
    const sound = await written("sound.tif", tiffOf(three));
    expect((await decodeImage(sound, { page: 2 })).data[0]).toBe(3);
  });

  it("and counts that point out of the file are refused before anything is allocated", async () => {
    const bytes = tiffOf([page(1, [[270, 2, "a text that is longer than four bytes"]])]);
    const first = bytes.readUInt32LE(4);
    for (let i = 0; i < bytes.readUInt16LE(first); i++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt32LE(0xfffffff0, first + 2 + 12 * i + 4);
      await expect(decodeImage(await written("count.tif", damaged)), `entry ${i}`).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_IMAGE_/),
      });
    }
    const outside = Buffer.from(bytes);
    outside.writeUInt32LE(bytes.length + 100, 4);
    await expect(decodeImage(await written("outside.tif", outside))).rejects.toThrow(/outside the file/);
  });
});

describe("planes behind one directory", () => {
  it("are slices where ImageJ's header says so", async () => {
    const path = await written("stack.tif", tiffOf([contiguous([10, 11, 12, 13], imageJ("images=4\nslices=4"))]));
    await expect(decodeImage(path)).rejects.toThrow(/4 slices.*`slice`/);
    for (const slice of [0, 1, 3]) expect(new Set((await decodeImage(path, { slice })).data)).toEqual(new Set([10 + slice]));
    expect(new Set((await decodeImage(path, { slice: "max" })).data)).toEqual(new Set([13]));
    expect(new Set((await decodeImage(path, { page: 2 })).data)).toEqual(new Set([12]));
    await expect(decodeImage(path, { slice: 99 })).rejects.toThrow(/slice 99 was asked for/);
  });

  it("are channels, frames or unknown, by tifffile's header or MetaMorph's tag", async () => {
    const channels = await written("channels.tif", tiffOf([contiguous([1, 2], imageJ("images=2\nchannels=2"))]));
    const both = await decodeImage(channels, { channels: [1, 0] });
    expect([...both.data.slice(0, 3)]).toEqual([0, 2, 1]);
    const frames = [270, 2, JSON.stringify({ shape: [3, height, width], axes: "TYX" })] as [number, number, string];
    const series = await written("series.tif", tiffOf([contiguous([5, 6, 7], [frames])]));
    expect((await decodeImage(series, { frame: 2 })).data[0]).toBe(7);
    const shape = [270, 2, JSON.stringify({ shape: [3, height, width] })] as [number, number, string];
    const stk: [number, number, number[]] = [33629, 5, [1, 1, 1]];
    const bare: TiffPage["tags"][] = [[shape], [stk], imageJ("images=3")];
    for (const tags of bare) {
      const path = await written("unknown.tif", tiffOf([contiguous([5, 6, 7], tags)]));
      await expect(decodeImage(path)).rejects.toThrow(/3 pages and does not say/);
      expect((await decodeImage(path, { page: 1 })).data[0]).toBe(6);
      // Who asks for a slice says that they are slices.
      expect((await decodeImage(path, { slice: 2 })).data[0]).toBe(7);
    }
  });

  it("that are listed and not there are refused, unless the first alone is asked for", async () => {
    const path = await written("short.tif", tiffOf([contiguous([1, 2], imageJ("images=4\nslices=4"))]));
    await expect(decodeImage(path, { slice: 1 })).rejects.toThrow(/lists 4 planes.*page: 0/);
    expect((await decodeImage(path, { page: 0 })).data[0]).toBe(1);
  });

  it("do not make several pages of the samples of one", async () => {
    // tifffile writes an array of 3 x H x W as one page of three samples.
    const shape: [number, number, string] = [270, 2, JSON.stringify({ shape: [height, width, 3] })];
    const colour: TiffPage = {
      ...page(0, [shape]),
      samples: 3,
      pixels: Uint16Array.from({ length: width * height * 3 }, (_, i) => i),
    };
    const { data, shape: read } = await decodeImage(await written("colour.tif", tiffOf([colour])));
    expect(read).toEqual([height, width, 3]);
    expect([...data.slice(0, 4)]).toEqual([0, 1, 2, 3]);
  });
});

describe("label stacks", () => {
  it("are read at the slice or frame of the image, or at mask_page", async () => {
    const three = [page(0), page(7), page(0)];
    const named = await written("labels.tif", tiffOf([{ ...page(0, imageJ("images=3\nslices=3")) }, ...three.slice(1)]));
    const plain = await written("plain.tif", tiffOf(three));
    const one = await written("one-directory.tif", tiffOf([contiguous([0, 7, 0], imageJ("images=3\nframes=3"))]));
    for (const [path, options] of [
      [named, { slice: 1 }],
      [plain, { slice: 1 }],
      [one, { frame: 1 }],
      [named, { maskPage: 1 }],
      [one, { maskPage: 1, slice: "max" }],
    ] as const)
      expect((await decodeLabels(path, options)).count, JSON.stringify(options)).toBe(1);
    expect((await decodeLabels(named, { slice: 0 })).count).toBe(0);
    await expect(decodeLabels(named)).rejects.toThrow(/`slice` or `mask_page`/);
    await expect(decodeLabels(named, { slice: "max" })).rejects.toThrow(/no largest value.*mask_page/);
    // A mask of one page belongs to every slice.
    expect((await decodeLabels(await written("flat.tif", tiffOf([page(3)])), { slice: 2 })).count).toBe(1);
  });
});

describe("slices that were taken for colours", () => {
  it("are slices, as tifffile's own header says, and channels stay channels", async () => {
    const size = width * height;
    const four = (axes: string): TiffPage => ({
      ...page(0),
      samples: 4,
      pixels: Uint16Array.from({ length: 4 * size }, (_, i) => 10 + Math.floor(i / size)),
      tags: [
        [270, 2, JSON.stringify({ shape: [4, height, width], axes })],
        [284, 3, [2]],
        [338, 3, [2]],
      ],
    });
    const slices = await written("slices.tif", tiffOf([four("ZYX")]));
    await expect(decodeImage(slices)).rejects.toThrow(/4 slices.*`slice`/);
    for (const slice of [0, 2, 3]) expect(new Set((await decodeImage(slices, { slice })).data)).toEqual(new Set([10 + slice]));
    expect(new Set((await decodeImage(slices, { slice: "max" })).data)).toEqual(new Set([13]));
    expect((await decodeLabels(slices, { slice: 1 })).data[0]).toBe(11);
    const channels = await written("fourth.tif", tiffOf([four("CYX")]));
    expect((await decodeImage(channels, { channels: [3] }).catch((error: Error) => error.message)).toString()).toMatch(
      /constant|channel 3/,
    );
    expect(new Set((await decodeImage(channels, { channels: [2] })).data)).toEqual(new Set([12]));
  });
});

describe("the axes of microscopes", () => {
  it("are read from Zeiss's header: channels in a page, slices and frames as pages, thumbnails left out", async () => {
    const header = new Array(28).fill(0);
    for (const [at, value] of [
      [16, 3],
      [20, 2],
      [24, 2],
    ] as const)
      header[at] = value;
    const size = width * height;
    const lsm = Array.from({ length: 6 }, (_, i) => [
      {
        ...page(0),
        bits: 8,
        samples: 2,
        pixels: Uint8Array.from({ length: 2 * size }, (_, k) => 10 * i + (k < size ? 1 : 2)),
        tags: [
          [34412, 1, header],
          [284, 3, [2]],
        ] as TiffPage["tags"],
      },
      { ...page(99), bits: 8, pixels: new Uint8Array(size).fill(99), tags: [[254, 4, [1]]] as TiffPage["tags"] },
    ]).flat();
    const path = await written("stack.lsm.tif", tiffOf(lsm as TiffPage[]));
    await expect(decodeImage(path)).rejects.toThrow(/3 slices, 2 frames/);
    for (const [slice, frame] of [
      [0, 0],
      [2, 0],
      [1, 1],
    ] as const) {
      const image = await decodeImage(path, { slice, frame, channels: [1] });
      expect(new Set(image.data)).toEqual(new Set([10 * (slice + 3 * frame) + 2]));
    }
    await expect(decodeImage(path, { slice: 0, frame: 0 })).rejects.toThrow(/2 channels/);
  });

  const ome = (sizes: string, inner: string) =>
    `<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels DimensionOrder="XYZCT" ${sizes} Type="uint16">${inner}</Pixels></Image></OME>`;
  it("of OME count the colours of a page once, and a file of a set is one plane", async () => {
    const colour: TiffPage = {
      ...page(0, [[270, 2, ome('SizeC="3" SizeZ="1" SizeT="1"', '<Channel ID="Channel:0:0"/>')]]),
      samples: 3,
      pixels: Uint16Array.from({ length: width * height * 3 }, (_, i) => i),
    };
    expect((await decodeImage(await written("colour.ome.tif", tiffOf([colour])))).shape).toEqual([height, width, 3]);
    const set = page(5, [
      [
        270,
        2,
        ome('SizeC="1" SizeZ="9" SizeT="1"', '<TiffData IFD="0"><UUID FileName="z0.ome.tif">urn:uuid:1</UUID></TiffData>'),
      ],
    ]);
    expect((await decodeImage(await written("z0.ome.tif", tiffOf([set])))).data[0]).toBe(5);
    // Without other files the planes should be here: they are read, or missed.
    const alone: TiffPage["tags"] = [[270, 2, ome('SizeC="1" SizeZ="3" SizeT="1"', "")]];
    expect(
      (await decodeImage(await written("alone.ome.tif", tiffOf([contiguous([1, 2, 3], alone)])), { slice: 2 })).data[0],
    ).toBe(3);
    await expect(decodeImage(await written("missed.ome.tif", tiffOf([page(1, alone)])), { slice: 2 })).rejects.toThrow(
      /lists 3 planes/,
    );
  });
});

describe("arrays of several planes", () => {
  it("are slices, frames or pages where an option says so", async () => {
    const planes = Int32Array.from({ length: 3 * width * height }, (_, i) => (Math.floor(i / (width * height)) === 1 ? 4 : 0));
    const path = await written("stack.npy", encodeNpy(planes, [3, height, width]));
    for (const options of [{ slice: 1 }, { frame: 1 }, { maskPage: 1 }])
      expect((await decodeLabels(path, options)).count, JSON.stringify(options)).toBe(1);
    await expect(decodeLabels(path)).rejects.toThrow(/3 planes.*mask_page/);
    await expect(decodeLabels(path, { slice: 3 })).rejects.toThrow(/plane 3 was asked for/);
    await expect(decodeLabels(path, { slice: "max" })).rejects.toThrow(/no largest value/);
    expect((await decodeImage(path, { slice: 1 })).data[0]).toBe(4);
    expect((await decodeImage(path, { slice: "max" })).data[0]).toBe(4);
    expect((await decodeImage(path, { slice: 0 })).shape).toEqual([height, width]);
  });
});

describe("64-bit integers", () => {
  it("are ids like others, signed and unsigned", async () => {
    const ids = [0, 1, 70000, 2 ** 31 - 1, 3, 0];
    for (const [format, ArrayType] of [
      [1, BigUint64Array],
      [2, BigInt64Array],
    ] as const) {
      const pixels = ArrayType.from(ids.map(BigInt));
      const path = await written("wide.tif", tiffOf([{ width: 3, height: 2, bits: 64, format, pixels }]));
      expect([...(await decodeLabels(path)).data]).toEqual(ids);
    }
    const negative = BigInt64Array.of(0n, -1n, 1n, 1n);
    const path = await written("minus.tif", tiffOf([{ width: 2, height: 2, bits: 64, format: 2, pixels: negative }]));
    await expect(decodeLabels(path)).rejects.toThrow(/negative label -1/);
    expect([...(await decodeLabels(path, { ignoreLabel: -1 })).data]).toEqual([0, -1, 1, 1]);
  });
});
