/** Uncompressed Windows bitmaps of 8, 24 and 32 bits, the kinds that microscope software writes. */
import type { RawImage } from "../image.js";
import { broken, checkSize, unsupported } from "./limits.js";

/** Reads one BMP: grey or indexed [H,W], or [H,W,3]; the fourth byte of 32 bits is not used. */
export function readBmp(bytes: Uint8Array, maxPixels: number): RawImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 54 || view.getUint16(0) !== 0x424d) throw broken("it is not a BMP file");
  const header = view.getUint32(14, true);
  if (header < 40) throw unsupported("BMP files of OS/2 are not read; save it as PNG");
  const [width, signed] = [view.getInt32(18, true), view.getInt32(22, true)];
  const height = Math.abs(signed);
  const depth = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  checkSize(height, width, maxPixels);
  if (![8, 24, 32].includes(depth) || (compression !== 0 && !(compression === 3 && depth === 32)))
    throw unsupported(`BMP of ${depth} bit (compression ${compression}) is not read; save it as PNG`);
  const offset = view.getUint32(10, true);
  const rowBytes = Math.ceil((width * depth) / 32) * 4;
  if (offset + rowBytes * height > bytes.length) throw broken("the BMP is cut off");
  const step = depth / 8;
  const channels = depth === 8 ? 1 : 3;
  const data = new Uint8Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    // Rows come from the bottom up, unless the height is negative.
    let from = offset + rowBytes * (signed < 0 ? y : height - 1 - y);
    for (let x = 0, to = y * width * channels; x < width; x++, from += step, to += channels) {
      // Colours are stored blue first.
      for (let c = 0; c < channels; c++) data[to + c] = bytes[from + channels - 1 - c] ?? 0;
    }
  }
  const raw: RawImage = {
    data,
    dtype: "uint8",
    shape: channels === 1 ? [height, width] : [height, width, 3],
    alpha: false,
    notes: [],
  };
  if (depth !== 8) return raw;
  const entries = view.getUint32(46, true) || 256;
  if (entries > 256 || 14 + header + entries * 4 > bytes.length) throw broken("the colour table of the BMP is cut off");
  const table = Array.from({ length: entries }, (_, i) => [2, 1, 0].map((c) => bytes[14 + header + 4 * i + c] ?? 0));
  // With the usual table i -> (i, i, i) it is a grey image.
  if (!table.every((colour, i) => colour.every((value) => value === i))) raw.palette = Uint8Array.from(table.flat());
  return raw;
}
