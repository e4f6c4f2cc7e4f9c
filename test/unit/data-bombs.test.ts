// Files that ask for far more memory than what they declare: every one is refused, with little read. All are written here.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { crc32, createDeflate, createGzip, deflateRawSync, deflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage } from "../../lib/data/decode.js";
import { roisOfZip } from "../../lib/data/formats/imagejRoi.js";
import { encodeNpy } from "../../lib/data/formats/npy.js";
import { boundedDecoders, unpackBits, unpackLzw, zstdBound } from "../../lib/data/formats/tiffDecoders.js";
import { random } from "./drawn-cells.js";
import { write } from "./drawn-objects.js";
import { tiffOf } from "./tiff-files.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-bombs-"));
});
afterAll(() => rm(folder, { recursive: true }));

const written = async (name: string, bytes: Uint8Array) => {
  await writeFile(join(folder, name), bytes);
  return join(folder, name);
};

/** TIFF's LZW as its specification writes it. */
function lzw(data: Uint8Array): Uint8Array {
  const out: number[] = [];
  let [held, bits, width] = [0, 0, 9];
  let table = new Map<string, number>();
  const emit = (code: number) => {
    held = (held << width) | code;
    for (bits += width; bits >= 8; bits -= 8) out.push((held >> (bits - 8)) & 255);
    held &= (1 << bits) - 1;
  };
  const clear = () => {
    emit(256);
    table = new Map(Array.from({ length: 256 }, (_, i) => [String.fromCharCode(i), i]));
    width = 9;
  };
  clear();
  let word = "";
  for (const byte of data) {
    const longer = word + String.fromCharCode(byte);
    if (table.has(longer)) {
      word = longer;
      continue;
    }
    emit(table.get(word) as number);
    const next = table.size + 2;
    table.set(longer, next);
    if (next + 1 === 4095) clear();
    else if (next + 2 > 1 << width) width++;
    word = String.fromCharCode(byte);
  }
  if (word) emit(table.get(word) as number);
  emit(257);
  if (bits > 0) out.push((held << (8 - bits)) & 255);
  return Uint8Array.from(out);
}

describe("decoders of TIFF", () => {
  const next = random(3);
  const samples = [
    Uint8Array.of(),
    Uint8Array.of(7),
    new Uint8Array(100000),
    Uint8Array.from({ length: 50000 }, () => next() * 256),
    Uint8Array.from({ length: 50000 }, () => next() * 3),
    Uint8Array.from({ length: 30000 }, (_, i) => (i >> 6) & 255),
  ];
  it("undo LZW, and stop at the limit", () => {
    for (const data of samples) {
      expect(unpackLzw(lzw(data), data.length)).toEqual(data);
      if (data.length > 0) expect(() => unpackLzw(lzw(data), data.length - 1)).toThrow(/unpacks to more/);
    }
  });

  it("undo PackBits, and stop at the limit", () => {
    // The example of Apple's Technical Note TN1023.
    const packed = Buffer.from("FEAA0280002AFDAA0380002A22F7AA", "hex");
    const plain = Buffer.from("AAAAAA80002AAAAAAAAA80002A22AAAAAAAAAAAAAAAAAAAA", "hex");
    expect(Buffer.from(unpackBits(packed, 24))).toEqual(plain);
    expect(() => unpackBits(packed, 23)).toThrow(/unpacks to more/);
  });

  it("never reject, since geotiff leaves rejections unhandled, and keep what is wrong", async () => {
    const pool = boundedDecoders(16);
    const decoder = pool.bindParameters(5, {} as never) as unknown as {
      decodeBlock: (bytes: ArrayBuffer) => Promise<ArrayBuffer>;
    };
    expect(await decoder.decodeBlock(new Uint8Array(9).fill(255).buffer)).toEqual(new ArrayBuffer(16));
    expect(pool.failure?.error).toMatchObject({ code: "ERR_IMAGE_BROKEN" });
  });

  it("know the most that zstd can unpack to", () => {
    // A frame without content size, of blocks that repeat one byte 131072 times.
    const frame = (blocks: number) =>
      Buffer.concat([
        Buffer.from("28B52FFD0058", "hex"),
        ...Array.from({ length: blocks }, (_, i) => {
          const header = (131072 << 3) | (1 << 1) | Number(i === blocks - 1);
          return Buffer.from([header & 255, (header >> 8) & 255, header >> 16, 7]);
        }),
      ]);
    expect(zstdBound(frame(1))).toBe(131072);
    expect(zstdBound(frame(1000))).toBe(131072000);
    expect(zstdBound(Buffer.concat([frame(2), frame(3)]))).toBe(5 * 131072);
  });

  it.each([
    [8, deflateSync(new Uint8Array(2 ** 26))],
    [32946, deflateSync(new Uint8Array(2 ** 26))],
    [5, lzw(new Uint8Array(2 ** 22))],
    [32773, Uint8Array.from({ length: 2 ** 16 }, (_, i) => (i % 2 ? 0 : 129))],
    [
      50000,
      Buffer.concat([Buffer.from("28B52FFD0058", "hex"), ...Array.from({ length: 2000 }, () => Buffer.from([2, 0, 16, 7]))]),
    ],
  ])("refuse a strip of compression %i that is far larger than declared", async (compression, pixels) => {
    const path = await written(`${compression}.tif`, tiffOf([{ width: 8, height: 8, bits: 8, pixels, compression }]));
    await expect(decodeImage(path)).rejects.toMatchObject({ code: "ERR_IMAGE_BROKEN" });
  });
});

/** A zip of one deflated file, which declares this size. */
function zipOf(name: string, content: Uint8Array, size = content.length): Buffer {
  const packed = deflateRawSync(content);
  const head = (signature: number, length: number) => {
    const out = Buffer.alloc(length);
    out.writeUInt32LE(signature);
    return out;
  };
  const local = head(0x04034b50, 30);
  const central = head(0x02014b50, 46);
  for (const [part, at] of [
    [local, 4],
    [central, 6],
  ] as const) {
    part.writeUInt16LE(20, at);
    part.writeUInt16LE(8, at + 4);
    part.writeUInt32LE(crc32(content), at + 10);
    part.writeUInt32LE(packed.length, at + 14);
    part.writeUInt32LE(size, at + 18);
    part.writeUInt16LE(name.length, at + 22);
  }
  const end = head(0x06054b50, 22);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length + name.length, 12);
  end.writeUInt32LE(local.length + name.length + packed.length, 16);
  return Buffer.concat([local, Buffer.from(name), packed, central, Buffer.from(name), end]);
}

/** A zip of the files of several. */
function joined(zips: readonly Buffer[]): Buffer {
  const end = Buffer.from((zips[0] as Buffer).subarray(-22));
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const zip of zips) {
    const start = zip.readUInt32LE(zip.length - 6);
    const central = Buffer.from(zip.subarray(start, -22));
    central.writeUInt32LE(offset, 42);
    centrals.push(central);
    locals.push(zip.subarray(0, start));
    offset += start;
  }
  const directory = Buffer.concat(centrals);
  for (const at of [8, 10]) end.writeUInt16LE(zips.length, at);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

describe("archives", () => {
  it("are read up to the size that the array's header declares", async () => {
    const array = encodeNpy(Int32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
    const sound = await decodeImage(await written("sound.npz", zipOf("image.npy", array)));
    expect([sound.shape, [...sound.data]]).toEqual([
      [2, 3],
      [1, 2, 3, 4, 5, 6],
    ]);
    const path = await written("bomb.npz", zipOf("image.npy", Buffer.concat([array, Buffer.alloc(2 ** 28)])));
    await expect(decodeImage(path)).rejects.toThrow(/holds \d+ bytes where its header needs 152/);
  });

  it("of ROIs are read up to the size that they declare, which has a limit", async () => {
    const roi = Buffer.alloc(64);
    roi.write("Iout");
    await expect(roisOfZip(zipOf("a.roi", roi))).resolves.toEqual([{ name: "a", bytes: roi }]);
    const zeros = new Uint8Array(2 ** 26);
    const sizes = async (zip: Buffer) => (await roisOfZip(zip)).map(({ bytes }) => bytes.length);
    await expect(sizes(zipOf("a.roi", zeros))).rejects.toThrow("a.roi declares 67108864 bytes, which it cannot hold");
    const before = process.memoryUsage().arrayBuffers;
    await expect(sizes(zipOf("a.roi", zeros, 64))).rejects.toMatchObject({ code: "ERR_IMAGE_BROKEN" });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
    const many = Array.from({ length: 9 }, (_, i) => zipOf(`${i}.roi`, new Uint8Array(2 ** 25)));
    await expect(sizes(joined(many))).rejects.toThrow(/declares 9 ROIs of 301989888 bytes/);
  });

  it("and arrays with a header without end are refused", async () => {
    const wide = Buffer.alloc(64);
    wide.write("\x93NUMPY\x02\x00", "latin1");
    wide.writeUInt32LE(0x7fffffff, 8);
    await expect(decodeImage(await written("wide.npy", wide))).rejects.toThrow(/header of 2147483647 bytes/);
  });
});

describe("PNG", () => {
  const chunk = (type: string, data: Uint8Array) => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length);
    out.write(type, 4, "latin1");
    out.set(data, 8);
    out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
    return out;
  };
  const header = (colour: number) => Buffer.from([0, 0, 0, 4, 0, 0, 0, 4, 8, colour, 0, 0, 0]);
  const start = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  it("is refused when its pixels unpack to more than its size", async () => {
    const parts = [
      start,
      chunk("IHDR", header(0)),
      chunk("IDAT", deflateSync(new Uint8Array(2 ** 26))),
      chunk("IEND", Buffer.alloc(0)),
    ];
    await expect(decodeImage(await written("long.png", Buffer.concat(parts)))).rejects.toMatchObject({
      code: "ERR_IMAGE_BROKEN",
    });
  });

  it("is read without its colour profile, which may unpack to anything", async () => {
    const profile = Buffer.concat([Buffer.from("x\0\0", "latin1"), Buffer.from("no profile at all")]);
    const palette = Buffer.from([0, 0, 0, 255, 0, 0]);
    const rows = Buffer.from([0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0].slice(0, 20));
    const parts = [
      chunk("IHDR", header(3)),
      chunk("iCCP", profile),
      chunk("PLTE", palette),
      chunk("IDAT", deflateSync(rows)),
      chunk("IEND", Buffer.alloc(0)),
    ];
    const image = await decodeImage(await written("profile.png", Buffer.concat([start, ...parts])));
    expect([image.shape, [...image.data.slice(0, 4)]]).toEqual([
      [4, 4],
      [0, 255, 0, 255],
    ]);
  });
});

describe("chunks of Zarr", () => {
  /** Bytes that a bomb unpacks to; a chunk has 64. */
  const size = 2 ** 28;
  const zeros = () => Readable.from(new Array(256).fill(Buffer.alloc(size / 256)));
  /** A frame of Zstandard whose blocks repeat one byte, 131072 times each; it declares `declared` bytes. */
  const zstd = (declared: number, blocks = size / 131072) => {
    const head = Buffer.from("28B52FFDA000000000", "hex");
    head.writeUInt32LE(declared, 5);
    const block = (i: number) => {
      const header = (131072 << 3) | (1 << 1) | Number(i === blocks - 1);
      return Buffer.from([header & 255, (header >> 8) & 255, header >> 16, 7]);
    };
    return Buffer.concat([head, ...Array.from({ length: blocks }, (_, i) => block(i))]);
  };
  /** A frame that stores 64 bytes as they are. */
  const stored = Buffer.concat([
    Buffer.from("28B52FFDA040000000", "hex"),
    Buffer.from([1 | (64 << 3), 2, 0]),
    Buffer.alloc(64),
  ]);
  /** One byte and a match that repeats it, as LZ4 has them in a block, behind the size that is declared. */
  const lz4 = (declared: number) => {
    const length = Buffer.alloc(size / 256, 255);
    const block = Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), length, Buffer.from([0, 0x50]), Buffer.alloc(5)]);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(declared);
    return Buffer.concat([head, block]);
  };
  const blosc = (bytes: number, block: number) => {
    const content = lz4(0).subarray(4);
    const head = Buffer.from([2, 1, 0x21, 1, ...new Array(12).fill(0)]);
    head.writeUInt32LE(bytes, 4);
    head.writeUInt32LE(block, 8);
    head.writeUInt32LE(24 + content.length, 12);
    const start = Buffer.alloc(8);
    start.writeUInt32LE(20);
    start.writeUInt32LE(content.length, 4);
    return Buffer.concat([head, start, content]);
  };
  const bombs: [string, string, () => Promise<Buffer> | Buffer][] = [
    ["gzip", "gzip", () => buffer(zeros().pipe(createGzip({ level: 1 })))],
    ["zlib", "zlib", () => buffer(zeros().pipe(createDeflate({ level: 1 })))],
    ["zstd, which says so", "zstd", () => zstd(size)],
    ["zstd, which says less", "zstd", () => zstd(64)],
    ["zstd, in a second frame", "zstd", () => Buffer.concat([stored, zstd(size)])],
    ["lz4, which says so", "lz4", () => lz4(size)],
    ["lz4, which says less", "lz4", () => lz4(64)],
    ["blosc, which says so", "blosc", () => blosc(size, size)],
    ["blosc, of a large block", "blosc", () => blosc(64, size)],
    ["blosc, which says less", "blosc", () => blosc(64, 64)],
  ];
  const regular = (shape: number[]) => ({ name: "regular", configuration: { chunk_shape: shape } });
  const common = { zarr_format: 3, node_type: "array", shape: [8, 8], data_type: "uint8", fill_value: 0, attributes: {} };
  const keys = { chunk_key_encoding: { name: "default", configuration: { separator: "/" } } };
  const bytes = { name: "bytes", configuration: { endian: "little" } };
  /** The file of the only chunk, in each layout. */
  const layouts: Record<string, (codec: string, chunk: Buffer) => Record<string, string | Uint8Array | object>> = {
    "Zarr 2": (id, chunk) => ({
      "a.zarr/.zarray": {
        ...{ zarr_format: 2, shape: [8, 8], chunks: [8, 8], dtype: "|u1", fill_value: 0, order: "C", filters: null },
        compressor: { id },
      },
      "a.zarr/0.0": chunk,
    }),
    "Zarr 3": (name, chunk) => ({
      "a.zarr/zarr.json": { ...common, ...keys, chunk_grid: regular([8, 8]), codecs: [bytes, { name, configuration: {} }] },
      "a.zarr/c/0/0": chunk,
    }),
    "a shard": (name, chunk) => {
      const index = Buffer.alloc(16);
      index.writeBigUInt64LE(BigInt(chunk.length), 8);
      const inner = { chunk_shape: [8, 8], codecs: [bytes, { name, configuration: {} }], index_codecs: [bytes] };
      const codecs = [{ name: "sharding_indexed", configuration: { ...inner, index_location: "end" } }];
      return {
        "a.zarr/zarr.json": { ...common, ...keys, chunk_grid: regular([8, 8]), codecs },
        "a.zarr/c/0/0": Buffer.concat([chunk, index]),
      };
    },
  };

  it.each(bombs)("unpack to no more than their shape and type: %s", async (_, codec, make) => {
    const chunk = await make();
    for (const [layout, files] of Object.entries(layouts)) {
      await rm(join(folder, "a.zarr"), { recursive: true, force: true });
      await write(folder, files(codec, chunk));
      const before = process.resourceUsage().maxRSS;
      await expect(decodeImage(join(folder, "a.zarr")), layout).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_IMAGE_(BROKEN|UNSUPPORTED)$/),
      });
      expect(process.resourceUsage().maxRSS - before, `${layout}: kilobytes`).toBeLessThan(2 ** 16);
    }
  });

  it("are read where they hold what they should", async () => {
    for (const files of Object.values(layouts)) {
      await rm(join(folder, "a.zarr"), { recursive: true, force: true });
      await write(folder, files("zstd", stored));
      expect([...(await decodeImage(join(folder, "a.zarr"))).data]).toEqual(new Array(64).fill(0));
    }
  });
});
