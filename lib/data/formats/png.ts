/**
 * Reads PNG files as they are stored: no colour management, no reduction from 16 to 8 bit, the indices of indexed images. The
 * common kinds are inflated by zlib and unfiltered by pngRows.ts, in a fraction of fast-png's time. Indexed and interlaced
 * images are rare and are decoded by fast-png, after the same checks, since it verifies neither the length of the compressed
 * stream nor its checksum.
 */
import { crc32, inflateSync } from "node:zlib";
import type { DecodedPng } from "fast-png";
import { lazily } from "../../lazily.js";
import type { RawImage } from "../image.js";
import { broken, checkSize, unsupported } from "./limits.js";
import { unfilter } from "./pngRows.js";
import { TiffDirectories } from "./tiffDirectories.js";

const fastPng = lazily<typeof import("fast-png")>("fast-png");

const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
/** The depths that PNG has for each colour type. */
const DEPTHS: Record<number, readonly number[]> = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
const INDEXED = 3;
/** Adam7: first column, first row, column step, row step of each pass. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** Reads one PNG of any colour type and depth. `bytes` is the whole file. */
export function readPng(bytes: Uint8Array, maxPixels: number): RawImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    bytes.length < 33 ||
    view.getUint32(0) !== 0x89504e47 ||
    view.getUint32(4) !== 0x0d0a1a0a ||
    view.getUint32(12) !== 0x49484452
  )
    throw broken("it is not a PNG file");
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const depth = view.getUint8(24);
  const colour = view.getUint8(25);
  const channels = CHANNELS[colour];
  const interlace = view.getUint8(28);
  checkSize(height, width, maxPixels);
  if (channels === undefined) throw broken(`PNG colour type ${colour} does not exist`);
  if (!DEPTHS[colour]?.includes(depth)) throw broken(`PNG colour type ${colour} does not exist with ${depth} bit`);
  if (view.getUint8(26) !== 0 || view.getUint8(27) !== 0 || interlace > 1)
    throw broken("the PNG names a method of compression, filtering or interlacing that does not exist");
  if (interlace === 1 && depth < 8)
    throw unsupported(`interlaced PNG of ${depth} bit is not read; save it without interlacing`);

  const bits = depth * channels;
  const { packed, transparent, orientation, essential } = readChunks(bytes, view);
  const rows = inflate(packed, streamLength(width, height, bits, interlace === 1));
  const raw: RawImage = {
    data: new Uint8Array(0),
    dtype: depth === 1 && colour !== INDEXED ? "bool" : depth === 16 ? "uint16" : "uint8",
    shape: channels === 1 ? [height, width] : [height, width, channels],
    alpha: channels === 2 || channels === 4,
    notes: [],
  };
  let stored: Uint8Array | Uint16Array;
  let clear = transparent;
  if (interlace === 1 || colour === INDEXED) {
    const png = decodeRare(Buffer.concat(essential));
    // fast-png returns a Uint8ClampedArray; all other readers a Uint8Array.
    stored = png.data instanceof Uint16Array ? png.data : new Uint8Array(png.data.buffer, png.data.byteOffset, png.data.length);
    if (colour === INDEXED) {
      clear = png.palette?.some((entry) => (entry[3] ?? 255) !== 255) ?? false;
      raw.palette = Uint8Array.from(png.palette?.flatMap((entry) => entry.slice(0, 3)) ?? []);
    }
  } else {
    const samples = unfilter(rows, Math.ceil((width * bits) / 8), height, Math.max(1, bits / 8));
    stored = depth === 16 ? bigEndian(samples) : samples;
  }
  if (clear) raw.notes.push("the transparent colour of the PNG is ignored");
  raw.data = depth < 8 ? unpack(stored as Uint8Array, width, height, depth) : stored;
  if (depth < 8) raw.bits = depth;
  if (orientation !== undefined) raw.orientation = orientation;
  return raw;
}

function decodeRare(bytes: Uint8Array): DecodedPng {
  try {
    return fastPng().decode(bytes, { checkCrc: true });
  } catch (error) {
    throw broken(`the PNG data is damaged (${(error as Error).message})`, error);
  }
}

/** Converts big-endian 16-bit samples to the byte order of this machine, in place. */
function bigEndian(samples: Uint8Array): Uint16Array {
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] === 1)
    Buffer.from(samples.buffer, samples.byteOffset, samples.length).swap16();
  return new Uint16Array(samples.buffer, samples.byteOffset, samples.length / 2);
}

/** Bytes after decompression: every row of every pass is preceded by its filter byte. */
function streamLength(width: number, height: number, bitsPerPixel: number, interlaced: boolean): number {
  const block = (columns: number, rows: number) => (columns > 0 ? rows * (1 + Math.ceil((columns * bitsPerPixel) / 8)) : 0);
  if (!interlaced) return block(width, height);
  return PASSES.reduce(
    (sum, [x, y, dx, dy]) => sum + block(Math.ceil((width - x) / dx), Math.max(0, Math.ceil((height - y) / dy))),
    0,
  );
}

/**
 * The compressed stream, whether a colour is declared to be transparent, the orientation, and the parts that the pixels need:
 * others, such as a compressed colour profile, could unpack to any size. Refuses a file that is cut off or
 * fails a checksum.
 */
function readChunks(
  bytes: Uint8Array,
  view: DataView,
): { packed: Uint8Array; transparent: boolean; orientation: number | undefined; essential: Uint8Array[] } {
  const essential: Uint8Array[] = [bytes.subarray(0, 8)];
  let orientation: number | undefined;
  const parts: Uint8Array[] = [];
  let transparent = false;
  for (let offset = 8; ; ) {
    if (offset + 12 > bytes.length) throw broken("the PNG is cut off");
    const length = view.getUint32(offset);
    const type = view.getUint32(offset + 4);
    if (offset + 12 + length > bytes.length) throw broken("the PNG is cut off");
    if (crc32(bytes.subarray(offset + 4, offset + 8 + length)) !== view.getUint32(offset + 8 + length)) {
      const name = String.fromCharCode(...bytes.subarray(offset + 4, offset + 8));
      throw broken(`the PNG data is damaged (the checksum of its part ${JSON.stringify(name)} does not fit)`);
    }
    if (type === 0x49444154) parts.push(bytes.subarray(offset + 8, offset + 8 + length));
    if (type === 0x74524e53) transparent = true;
    if (type === 0x65584966) orientation = exifOrientation(bytes.subarray(offset + 8, offset + 8 + length));
    // IHDR, PLTE, tRNS, IDAT, IEND
    if ([0x49484452, 0x504c5445, 0x74524e53, 0x49444154, 0x49454e44].includes(type))
      essential.push(bytes.subarray(offset, offset + 12 + length));
    if (type === 0x49454e44) break;
    offset += 12 + length;
  }
  const packed = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  return { packed, transparent, orientation, essential };
}

/** EXIF is a TIFF without pixels. Damaged EXIF says nothing: viewers ignore it. */
function exifOrientation(exif: Uint8Array): number | undefined {
  try {
    const tags = new TiffDirectories(exif);
    return tags.directories[0] && tags.number(tags.directories[0], 274, 1);
  } catch {
    return undefined;
  }
}

/** Refuses a stream that is corrupt or inflates to anything but the declared size. */
function inflate(packed: Uint8Array, expected: number): Uint8Array {
  // Deflate expands at most 1032 times: a header that declares more is an attack, and must not reach an allocation.
  if (expected > packed.length * 1032 + 1024)
    throw broken(`the PNG declares ${expected} bytes, which its ${packed.length} bytes cannot hold`);
  let rows: Uint8Array;
  try {
    // One chunk for everything: zlib's default chunks of 16 KB would have to be joined afterwards.
    rows = inflateSync(packed, { maxOutputLength: expected + 1, chunkSize: Math.max(64, expected + 1) });
  } catch (error) {
    throw broken(`the PNG data is damaged (${(error as Error).message})`, error);
  }
  if (rows.length !== expected) throw broken(`the PNG holds ${rows.length} bytes of pixels where its size needs ${expected}`);
  return rows;
}

/** Unpacks samples of 1, 2 and 4 bit, stored from the high bit of each byte in rows of whole bytes, to one byte each. */
function unpack(packed: Uint8Array, width: number, height: number, depth: number): Uint8Array {
  const out = new Uint8Array(width * height);
  const rowBytes = Math.ceil((width * depth) / 8);
  const mask = (1 << depth) - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      out[y * width + x] = ((packed[y * rowBytes + (bit >> 3)] ?? 0) >> (8 - depth - (bit & 7))) & mask;
    }
  }
  return out;
}
