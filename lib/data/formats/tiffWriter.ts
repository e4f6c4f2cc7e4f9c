/**
 * Writes a label map as a simple TIFF: one page, little endian, strips compressed by deflate. geotiff's writer does not
 * compress.
 */
import { deflateSync } from "node:zlib";

const SHORT = 3;
const LONG = 4;
/** Rows in a strip. */
export const stripRows = 256;

/** One grey page of 16 or 32 bit unsigned samples [H,W]. */
export function encodeTiff(data: Uint16Array | Uint32Array, height: number, width: number): Buffer {
  const strips: Buffer[] = [];
  for (let y = 0; y < height; y += stripRows) {
    const rows = data.subarray(y * width, Math.min(y + stripRows, height) * width);
    strips.push(deflateSync(Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength)));
  }
  return assembleTiff(strips, { height, width, bits: data.BYTES_PER_ELEMENT * 8 });
}

/** The file of strips that are compressed already (zlib), of `stripRows` rows each, the last one of the rest. */
export function assembleTiff(
  strips: readonly Buffer[],
  { height, width, bits }: { height: number; width: number; bits: number },
): Buffer {
  const count = strips.length;
  const entries: [tag: number, type: number, count: number, value: number][] = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, 1, bits],
    [259, SHORT, 1, 8],
    [262, SHORT, 1, 1],
    [273, LONG, count, 0],
    [277, SHORT, 1, 1],
    [278, LONG, 1, stripRows],
    [279, LONG, count, 0],
    [339, SHORT, 1, 1],
  ];
  const tables = 8 + 2 + entries.length * 12 + 4;
  const pixels = tables + (count > 1 ? 8 * count : 0);
  const head = Buffer.alloc(pixels);
  head.write("II*\0", "latin1");
  head.writeUInt32LE(8, 4);
  head.writeUInt16LE(entries.length, 8);
  let offset = pixels;
  const offsets = strips.map((strip) => {
    const at = offset;
    offset += strip.length;
    return at;
  });
  entries.forEach(([tag, type, length, value], i) => {
    const at = 10 + i * 12;
    const list = tag === 273 ? offsets : tag === 279 ? strips.map((strip) => strip.length) : undefined;
    const listOffset = tables + (tag === 279 ? 4 * count : 0);
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(type, at + 2);
    head.writeUInt32LE(length, at + 4);
    head.writeUInt32LE(list ? (count > 1 ? listOffset : (list[0] ?? 0)) : value, at + 8);
    if (list && count > 1) for (const [k, item] of list.entries()) head.writeUInt32LE(item, listOffset + 4 * k);
  });
  return Buffer.concat([head, ...strips]);
}
