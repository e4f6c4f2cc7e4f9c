/**
 * PNG through fast-png, which returns the stored samples: no colour management, no 16 to 8 bit reduction, indices of indexed pictures.
 * The compressed stream is measured first with zlib, because fast-png checks neither its length nor its checksum.
 */
import { inflateSync } from "node:zlib";
import { decode } from "fast-png";
import type { RawImage } from "../image.js";
import { broken, checkSize, unsupported } from "./limits.js";

const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
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
  if (bytes.length < 33 || view.getUint32(0) !== 0x89504e47 || view.getUint32(12) !== 0x49484452)
    throw broken("it is not a PNG file");
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const depth = view.getUint8(24);
  const channels = CHANNELS[view.getUint8(25)];
  const interlaced = view.getUint8(28) === 1;
  checkSize(height, width, maxPixels);
  if (channels === undefined) throw broken(`PNG colour type ${view.getUint8(25)} does not exist`);
  if (interlaced && depth < 8) throw unsupported(`interlaced PNG of ${depth} bit is not read; save it without interlacing`);
  checkStream(bytes, view, streamLength(width, height, depth * channels, interlaced));

  let png: ReturnType<typeof decode>;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw broken(`the PNG data is damaged (${(error as Error).message})`, error);
  }
  const stored =
    png.data instanceof Uint16Array ? png.data : new Uint8Array(png.data.buffer, png.data.byteOffset, png.data.length);
  const notes: string[] = [];
  if (png.transparency || png.palette?.some((colour) => (colour[3] ?? 255) !== 255))
    notes.push("the transparent colour of the PNG is ignored");
  const raw: RawImage = {
    data: depth < 8 ? unpack(stored as Uint8Array, width, height, depth) : stored,
    dtype: depth === 1 && !png.palette ? "bool" : depth === 16 ? "uint16" : "uint8",
    shape: channels === 1 ? [height, width] : [height, width, channels],
    alpha: channels === 2 || channels === 4,
    notes,
  };
  if (depth < 8) raw.bits = depth;
  if (png.palette) raw.palette = Uint8Array.from(png.palette.flatMap((colour) => colour.slice(0, 3)));
  return raw;
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

/** Refuses a stream that is cut off, corrupt, or inflates to anything but the declared size. */
function checkStream(bytes: Uint8Array, view: DataView, expected: number): void {
  const parts: Uint8Array[] = [];
  for (let offset = 8; ; ) {
    if (offset + 12 > bytes.length) throw broken("the PNG is cut off");
    const length = view.getUint32(offset);
    const type = view.getUint32(offset + 4);
    if (offset + 12 + length > bytes.length) throw broken("the PNG is cut off");
    if (type === 0x49444154) parts.push(bytes.subarray(offset + 8, offset + 8 + length));
    if (type === 0x49454e44) break;
    offset += 12 + length;
  }
  const packed = Buffer.concat(parts);
  // Deflate cannot expand more than 1032 times: a header that asks for more is a bomb, and must not reach an allocation.
  if (expected > packed.length * 1032 + 1024)
    throw broken(`the PNG declares ${expected} bytes, which its ${packed.length} bytes cannot hold`);
  let length: number;
  try {
    length = inflateSync(packed, { maxOutputLength: expected + 1 }).length;
  } catch (error) {
    throw broken(`the PNG data is damaged (${(error as Error).message})`, error);
  }
  if (length !== expected) throw broken(`the PNG holds ${length} bytes of pixels where its size needs ${expected}`);
}

/** 1, 2 and 4 bit samples, packed from the high bit of each byte, rows padded to whole bytes; one byte a sample after this. */
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
