// OME-Zarr 0.4 and 0.5, written by hand from the specifications of Zarr 2 and 3.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadDataset } from "../../lib/data/dataset.js";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import { discover } from "../../lib/data/discover.js";
import { filesOf, pairLabels } from "../../lib/data/pair.js";
import { write } from "./drawn-objects.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-zarr-"));
});
afterEach(() => rm(root, { recursive: true }));

type Files = Record<string, string | Uint8Array | object>;
type Value = (index: Record<string, number>) => number;

interface Written {
  axes: string;
  shape: number[];
  chunks: number[];
  type?: "uint8" | "uint16" | "int64" | "float32";
  value: Value;
  version?: 2 | 3;
  pack?: "none" | "gzip" | "zlib";
  separator?: "/" | ".";
  /** Chunks that are not written: they hold the fill value. */
  missing?: (position: number[]) => boolean;
}

const bytesOf = { uint8: 1, uint16: 2, int64: 8, float32: 4 };
function element(type: keyof typeof bytesOf, value: number): Buffer {
  const out = Buffer.alloc(bytesOf[type]);
  if (type === "uint8") out.writeUInt8(value);
  else if (type === "uint16") out.writeUInt16LE(value);
  else if (type === "float32") out.writeFloatLE(value);
  else out.writeBigInt64LE(BigInt(value));
  return out;
}

function* positions(shape: readonly number[]): Generator<number[]> {
  if (shape.length === 0) yield [];
  else for (let i = 0; i < (shape[0] as number); i++) for (const rest of positions(shape.slice(1))) yield [i, ...rest];
}

/** The files of an array: its metadata and chunks, which reach over the edge as the specifications say. */
function array(path: string, written: Written): Files {
  const { axes, shape, chunks, type = "uint8", value, version = 2, pack = "none", separator = "/", missing } = written;
  const files: Files = {};
  const compressor = pack === "none" ? null : { id: pack, level: 5 };
  const codecs = [
    { name: "bytes", configuration: { endian: "little" } },
    ...(pack === "gzip" ? [{ name: "gzip", configuration: { level: 5 } }] : []),
  ];
  if (version === 2) {
    const dtype = { uint8: "|u1", uint16: "<u2", int64: "<i8", float32: "<f4" }[type];
    files[`${path}/.zarray`] = {
      zarr_format: 2,
      shape,
      chunks,
      dtype,
      compressor,
      fill_value: 0,
      order: "C",
      filters: null,
      dimension_separator: separator,
    };
  } else {
    files[`${path}/zarr.json`] = {
      zarr_format: 3,
      node_type: "array",
      shape,
      data_type: type,
      chunk_grid: { name: "regular", configuration: { chunk_shape: chunks } },
      chunk_key_encoding: { name: "default", configuration: { separator } },
      fill_value: 0,
      codecs,
      attributes: {},
    };
  }
  for (const chunk of positions(shape.map((length, i) => Math.ceil(length / (chunks[i] as number))))) {
    if (missing?.(chunk)) continue;
    const parts: Buffer[] = [];
    for (const inner of positions(chunks)) {
      const at = inner.map((offset, i) => offset + (chunk[i] as number) * (chunks[i] as number));
      const inside = at.every((position, i) => position < (shape[i] as number));
      parts.push(element(type, inside ? value(Object.fromEntries([...axes].map((axis, i) => [axis, at[i] as number]))) : 0));
    }
    const raw = Buffer.concat(parts);
    const bytes = pack === "gzip" ? gzipSync(raw) : pack === "zlib" ? deflateSync(raw) : raw;
    files[`${path}/${version === 3 ? `c${separator}` : ""}${chunk.join(separator)}`] = bytes;
  }
  return files;
}

/** A group with one multiscale image of two resolutions, of which the second is nonsense. */
function image(path: string, written: Written, more: object = {}): Files {
  const { version = 2 } = written;
  const multiscales = [
    {
      version: "0.4",
      axes: [...written.axes].map((name) => ({ name, type: { t: "time", c: "channel" }[name] ?? "space" })),
      datasets: ["0", "1"].map((name) => ({ path: name, coordinateTransformations: [] })),
    },
  ];
  const group =
    version === 2
      ? { [`${path}/.zgroup`]: { zarr_format: 2 }, [`${path}/.zattrs`]: { multiscales, ...more } }
      : {
          [`${path}/zarr.json`]: {
            zarr_format: 3,
            node_type: "group",
            attributes: { ome: { version: "0.5", multiscales, ...more } },
          },
        };
  const half = { ...written, shape: written.shape.map((length) => Math.ceil(length / 2)), value: () => 1 };
  return { ...group, ...array(`${path}/0`, written), ...array(`${path}/1`, half) };
}

function labels(path: string, written: Written, names = ["cells"]): Files {
  const { version = 2 } = written;
  const group =
    version === 2
      ? { [`${path}/labels/.zgroup`]: { zarr_format: 2 }, [`${path}/labels/.zattrs`]: { labels: names } }
      : { [`${path}/labels/zarr.json`]: { zarr_format: 3, node_type: "group", attributes: { ome: { labels: names } } } };
  return Object.assign({ ...group }, ...names.map((name) => image(`${path}/labels/${name}`, written, { "image-label": {} })));
}

const yx: Value = ({ y = 0, x = 0 }) => 10 * y + x;
const plane = (value: Value, more: Record<string, number> = {}) =>
  Array.from({ length: 35 }, (_, i) => value({ y: Math.floor(i / 7), x: i % 7, ...more }));
const flat: Written = { axes: "yx", shape: [5, 7], chunks: [2, 3], value: yx };

describe("images", () => {
  it.each<[string, Partial<Written>]>([
    ["version 0.4", {}],
    ["version 0.4 with gzip", { pack: "gzip" }],
    ["version 0.4 with zlib and names with dots", { pack: "zlib", separator: "." }],
    ["version 0.5", { version: 3 }],
    ["version 0.5 with gzip and names with dots", { version: 3, pack: "gzip", separator: "." }],
    ["chunks larger than the image", { chunks: [8, 8] }],
    ["16 bit", { type: "uint16", version: 3 }],
    ["32-bit float", { type: "float32" }],
  ])("%s: the highest resolution, over all chunks", async (_, more) => {
    await write(root, image("a.zarr", { ...flat, ...more }));
    const read = await decodeImage(join(root, "a.zarr"));
    expect([read.shape, [...read.data]]).toEqual([[5, 7], plane(yx)]);
    expect(read.dtype).toBe(more.type ?? "uint8");
  });

  it.each([2, 3] as const)("Zarr %d: channels, slices and frames by the axes of its metadata", async (version) => {
    const value: Value = ({ t = 0, c = 0, z = 0, y = 0, x = 0 }) => (t * 100 + c * 50 + z * 10 + y * 7 + x) % 251;
    await write(root, image("s.zarr", { axes: "tczyx", shape: [2, 3, 4, 5, 7], chunks: [1, 1, 3, 5, 4], value, version }));
    await write(root, image("o.zarr", { axes: "zcyx", shape: [4, 2, 5, 7], chunks: [2, 2, 2, 7], value, version }));
    const path = join(root, "s.zarr");
    expect([...(await decodeImage(path, { channels: [2], slice: 3, frame: 1 })).data]).toEqual(
      plane(value, { t: 1, c: 2, z: 3 }),
    );
    const brightest = plane(value, { t: 0, c: 1, z: 0 }).map((_, i) =>
      Math.max(...[0, 1, 2, 3].map((z) => plane(value, { t: 0, c: 1, z })[i] as number)),
    );
    expect([...(await decodeImage(path, { channels: [1], slice: "max", frame: 0 })).data]).toEqual(brightest);
    const both = await decodeImage(path, { channels: [1, 0], slice: 0, frame: 0 });
    expect([both.shape, both.data[3], both.data[4], both.data[5]]).toEqual([[5, 7, 3], 0, 51, 1]);
    expect([...(await decodeImage(join(root, "o.zarr"), { channels: [1], slice: 2 })).data]).toEqual(
      plane(value, { c: 1, z: 2 }),
    );
    await expect(decodeImage(path)).rejects.toThrow(/3 channels, 4 slices, 2 frames.*`channels`/);
    await expect(decodeImage(path, { channels: [0], frame: 0 })).rejects.toThrow(/`slice`/);
    await expect(decodeImage(path, { channels: [0], slice: 4, frame: 0 })).rejects.toThrow(/slice 4 was asked for/);
  });

  it("the layout of bioformats2raw, an array without OME metadata, a shard", async () => {
    await write(root, {
      ...image("b.zarr/0", flat),
      "b.zarr/.zgroup": { zarr_format: 2 },
      "b.zarr/.zattrs": { "bioformats2raw.layout": 3 },
    });
    expect([...(await decodeImage(join(root, "b.zarr"))).data]).toEqual(plane(yx));
    await write(root, array("c.zarr", flat));
    expect([...(await decodeImage(join(root, "c.zarr"))).data]).toEqual(plane(yx));
    // One shard of 4 x 8 in two chunks of 4 x 4, the second of which is absent; its index of offsets and lengths is at the end.
    const inner = Buffer.from(Array.from({ length: 16 }, (_, i) => i + 1));
    const index = Buffer.alloc(32, 255);
    index.writeBigUInt64LE(0n, 0);
    index.writeBigUInt64LE(16n, 8);
    const bytes = { name: "bytes", configuration: { endian: "little" } };
    const sharding = {
      name: "sharding_indexed",
      configuration: { chunk_shape: [4, 4], codecs: [bytes], index_codecs: [bytes], index_location: "end" },
    };
    await write(root, {
      "d.zarr/zarr.json": {
        ...{
          zarr_format: 3,
          node_type: "array",
          shape: [4, 8],
          data_type: "uint8",
          fill_value: 0,
          codecs: [sharding],
          attributes: {},
        },
        chunk_grid: { name: "regular", configuration: { chunk_shape: [4, 8] } },
        chunk_key_encoding: { name: "default", configuration: { separator: "/" } },
      },
      "d.zarr/c/0/0": Buffer.concat([inner, index]),
    });
    expect([...(await decodeImage(join(root, "d.zarr"))).data].slice(0, 16)).toEqual([
      1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0,
    ]);
  });

  // Chunks of 64 x 64 with x mod 4 + y mod 3, packed by the codecs of numcodecs.
  it.each([
    [
      { id: "blosc", cname: "lz4", clevel: 5, shuffle: 1, blocksize: 0 },
      "AgEhBAAQAAAAEAAAtAAAABQAAAAkAAAAGwABABsBAQAbAgEACy8AGwAvABsBLwAPMAD///+MUAAAAAAAJAAAABsBAQAbAgEAGwMBAAsvABsBLwAbAi8ADzAA////" +
        "jFABAQEBASQAAAAbAgEAGwMBABsEAQALLwAbAi8AGwMvAA8wAP///4xQAgICAgIkAAAAGwMBABsEAQAbBQEACy8AGwMvABsELwAPMAD///+MUAMDAwMD",
    ],
    [
      { id: "zstd", level: 3 },
      "KLUv/WAAD4UCAIAAAQIDAQIDBAIDBAUAAQIDfKjg5/CFzRLgF/z///MHGVNKWUopSVNKKWUpJSlNKaWUpSSlNKWUUpaklNKUUkqZlFJKU0opZfkFmfKmHJYp",
    ],
  ])("chunks packed by $id", async (compressor, chunk) => {
    const array = {
      zarr_format: 2,
      shape: [64, 64],
      chunks: [64, 64],
      dtype: "|u1",
      compressor,
      fill_value: 0,
      order: "C",
      filters: null,
    };
    await write(root, { "a.zarr/.zarray": array, "a.zarr/0.0": Buffer.from(chunk, "base64") });
    const { data } = await decodeImage(join(root, "a.zarr"));
    expect([...data]).toEqual(Array.from({ length: 4096 }, (_, i) => ((i % 64) % 4) + (Math.floor(i / 64) % 3)));
  });

  it.each([
    ["unknown", [{ name: "one" }, { name: "two" }], "ERR_IMAGE_UNSUPPORTED", /compression is not read \(one\)/],
    ["no codecs", [null, null], "ERR_IMAGE_BROKEN", /a codec that is none/],
  ])("codecs that are %s are one error, and none that nobody waits for", async (_, codecs, code, message) => {
    const files = image("a.zarr", { ...flat, version: 3 });
    await write(root, { ...files, "a.zarr/0/zarr.json": { ...(files["a.zarr/0/zarr.json"] as object), codecs } });
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    await expect(decodeImage(join(root, "a.zarr"))).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await new Promise(setImmediate);
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it("plates, several images and other axes are refused with what to give", async () => {
    await write(root, { "p.zarr/.zgroup": { zarr_format: 2 }, "p.zarr/.zattrs": { plate: {} } });
    await expect(decodeImage(join(root, "p.zarr"))).rejects.toMatchObject({
      code: "ERR_IMAGE_UNSUPPORTED",
      message: expect.stringContaining("plate"),
    });
    await write(root, {
      ...image("b.zarr/0", flat),
      ...image("b.zarr/1", flat),
      "b.zarr/.zgroup": { zarr_format: 2 },
      "b.zarr/.zattrs": { "bioformats2raw.layout": 3 },
    });
    await expect(decodeImage(join(root, "b.zarr"))).rejects.toThrow(/several images/);
    await write(root, image("x.zarr", { ...flat, axes: "xy" }));
    await expect(decodeImage(join(root, "x.zarr"))).rejects.toThrow(/axes are x, y/);
    await write(root, { "e.zarr/readme.txt": "nothing" });
    await expect(decodeImage(join(root, "e.zarr"))).rejects.toThrow(/no Zarr hierarchy/);
  });
});

describe("labels", () => {
  const ids: Value = ({ y = 0, x = 0 }) => (y < 2 && x < 3 ? 3 : y > 3 && x > 4 ? 70_000 : 0);
  const cells: Written = { ...flat, type: "int64", value: ids, missing: ([y, x]) => y === 1 && x === 1 };

  it.each([2, 3] as const)("Zarr %d: in the image itself, one or a folder of them", async (version) => {
    for (const name of ["a", "b"])
      await write(root, {
        ...image(`set/${name}.zarr`, { ...flat, version }),
        ...labels(`set/${name}.zarr`, { ...cells, version }),
      });
    for (const path of [join(root, "set"), join(root, "set/a.zarr")]) {
      const { pairs, notes } = await loadDataset({ imgPath: path, maskPath: path });
      expect(pairs.map(({ annotation, cells: count }) => [annotation, count])).toEqual(
        path.endsWith("set")
          ? [
              ["ome_zarr", 2],
              ["ome_zarr", 2],
            ]
          : [["ome_zarr", 2]],
      );
      expect(notes).toEqual([]);
      const map = await pairLabels(pairs[0] as never);
      expect([...map.data]).toEqual(plane(ids));
      const files = await filesOf(pairs[0] as never);
      expect(files.length).toBeGreaterThan(10);
      expect(files.every((file) => file.includes("a.zarr"))).toBe(true);
    }
  });

  it("in a folder of their own, with labels in them or as images of labels", async () => {
    await write(root, { ...image("images/a.ome.zarr", flat), ...image("images/b.zarr", flat) });
    await write(root, {
      ...image("masks/a_masks.zarr", cells),
      ...image("masks/b.zarr", flat),
      ...labels("masks/b.zarr", cells),
    });
    const { pairs } = await loadDataset({ imgPath: join(root, "images"), maskPath: join(root, "masks") });
    expect(pairs.map(({ source, cells: count }) => [source, count])).toEqual([
      ["a", 2],
      ["b", 2],
    ]);
  });

  it("labels of a stack take its slice; several label images need a path", async () => {
    const value: Value = ({ z = 0, ...at }) => ids(at) * Number(z === 1);
    const stack = { axes: "zyx", shape: [2, 5, 7], chunks: [1, 5, 7] };
    await write(root, { ...image("a.zarr", { ...stack, value: yx }), ...labels("a.zarr", { ...stack, type: "int64", value }) });
    const path = join(root, "a.zarr");
    const found = async (slice: number | "max") =>
      (await loadDataset({ imgPath: path, maskPath: path, slice })).pairs[0]?.cells;
    expect(await found(1)).toBe(2);
    await expect(found(0)).rejects.toThrow(/no mask holds a cell/);
    await expect(found("max")).rejects.toThrow(/labels are a stack/);
    await write(root, { ...image("b.zarr", flat), ...labels("b.zarr", cells, ["cells", "nuclei"]) });
    await expect(decodeLabels(join(root, "b.zarr"))).rejects.toThrow(/several label images \(cells, nuclei\)/);
    const named = await loadDataset({ imgPath: join(root, "b.zarr"), maskPath: join(root, "b.zarr/labels/nuclei") });
    expect(named.pairs[0]?.cells).toBe(2);
  });

  it("an image without labels is no mask of itself", async () => {
    await write(root, image("set/a.zarr", flat));
    const { problems } = await discover({ imgPath: join(root, "set"), maskPath: join(root, "set") });
    expect(problems).toMatchObject([{ code: "ERR_NO_DATA", message: expect.stringContaining("holds no mask") }]);
  });
});

describe("damaged and hostile hierarchies", () => {
  const refused = async (files: Files, message: RegExp, maxPixels = 2 ** 24) => {
    await rm(join(root, "a.zarr"), { recursive: true, force: true });
    await write(root, files);
    await expect(decodeImage(join(root, "a.zarr"), { maxPixels })).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_IMAGE_/),
      message: expect.stringMatching(message),
    });
  };
  const array2 = (more: object) => ({
    "a.zarr/.zarray": {
      zarr_format: 2,
      shape: [5, 7],
      chunks: [2, 3],
      dtype: "|u1",
      compressor: null,
      fill_value: 0,
      order: "C",
      filters: null,
      ...more,
    },
  });

  it("sizes and numbers of chunks are checked before anything is allocated", async () => {
    await refused(array2({ shape: [2 ** 20, 2 ** 20] }), /exceed the limit/);
    await refused(array2({ chunks: [2 ** 16, 2 ** 16] }), /its chunks have 65536 x 65536/);
    await refused(array2({ shape: [4000, 4000], chunks: [1, 1] }), /16000000 chunks/);
    await refused(array2({ chunks: [0, 3] }), /chunks|damaged/);
    await refused(array2({ shape: [-5, 7] }), /empty|damaged/);
    await refused(array2({ dtype: "|S8" }), /type/);
  });

  it("chunks that are cut off, that are packed in another way, or that lie elsewhere", async () => {
    const packed = array2({ chunks: [8, 8], compressor: { id: "gzip", level: 1 } });
    await refused({ ...packed, "a.zarr/0.0": gzipSync(Buffer.alloc(64)).subarray(0, 12) }, /damaged/);
    await refused(
      { ...array2({ chunks: [8, 8] }), "a.zarr/0.0": Buffer.alloc(10) },
      /chunk 0, 0 has 10 values where 64 belong/,
    );
    await refused(
      { ...array2({ compressor: { id: "lzma" } }), "a.zarr/0.0": Buffer.alloc(6) },
      /compression is not read|damaged/,
    );
    const outside = { multiscales: [{ axes: ["y", "x"], datasets: [{ path: "../other" }] }] };
    await write(root, array("other", flat));
    await refused({ "a.zarr/.zgroup": { zarr_format: 2 }, "a.zarr/.zattrs": outside }, /names? the path|damaged|metadata name/);
  });

  it("a copy without its chunks is no black image", async () => {
    await refused(image("a.zarr", { ...flat, missing: () => true }), /none of its chunks/);
  });
});
