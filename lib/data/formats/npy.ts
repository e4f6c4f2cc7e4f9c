/** NumPy's .npy format: a header that is a Python literal, then the raw array. */

import type { DecodeOptions, RawImage, Samples } from "../image.js";
import { broken, checkSize, unsupported } from "./limits.js";

/** numpy's type codes that are read. */
export const TYPES: Record<string, { dtype: string; size: number }> = {
  b1: { dtype: "bool", size: 1 },
  u1: { dtype: "uint8", size: 1 },
  i1: { dtype: "int8", size: 1 },
  u2: { dtype: "uint16", size: 2 },
  i2: { dtype: "int16", size: 2 },
  u4: { dtype: "uint32", size: 4 },
  i4: { dtype: "int32", size: 4 },
  u8: { dtype: "uint64", size: 8 },
  i8: { dtype: "int64", size: 8 },
  f4: { dtype: "float32", size: 4 },
  f8: { dtype: "float64", size: 8 },
};

/** What a header declares. */
export interface NpyHeader {
  dtype: string;
  shape: number[];
  fortran: boolean;
  bigEndian: boolean;
  /** Where the values begin, how many there are, and the length of the whole file. */
  offset: number;
  count: number;
  end: number;
}

/**
 * Reads the header of an array of 2 or 3 axes; undefined where `bytes` end before it does. Objects (pickles) are refused: reading
 * one would run code from the file.
 *
 * @param bytes the beginning of the file, or all of it
 * @param maxPixels limit on the product of the two largest axes
 * @throws CellsamError ERR_IMAGE_BROKEN, ERR_IMAGE_UNSUPPORTED, ERR_IMAGE_TOO_LARGE
 */
export function npyHeader(bytes: Uint8Array, maxPixels: number): NpyHeader | undefined {
  if (bytes.length < 12) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0x934e554d || view.getUint16(4) !== 0x5059) throw broken("it is not a .npy file");
  const wide = view.getUint8(6) >= 2;
  const start = wide ? 12 : 10;
  const headerLength = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  if (headerLength > LONGEST_HEADER) throw broken(`its .npy header of ${headerLength} bytes is too long`);
  if (bytes.length < start + headerLength) return undefined;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset + start, headerLength).toString("latin1");
  const descr = /'descr'\s*:\s*'([<>|=]?)([a-zA-Z]\d*)/.exec(header);
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header);
  const shapeText = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(header);
  if (header.includes("'O'") || header.includes("'|O'")) {
    throw unsupported("it holds pickled Python objects, which are never loaded; save the plain array with numpy.save");
  }
  if (!descr || !order || !shapeText) throw broken("its .npy header cannot be interpreted (structured types are not read)");
  const type = TYPES[descr[2] ?? ""];
  if (!type)
    throw unsupported(`arrays of type ${descr[1]}${descr[2]} are not read; convert to uint8, uint16, int32 or float32`);
  const shape = (shapeText[1] ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(Number);
  if (shape.length < 2 || shape.length > 3) throw unsupported(`the array has ${shape.length} axes; an image has 2 or 3`);
  const sides = [...shape].sort((a, b) => b - a);
  if (shape.some((side) => side < 1)) throw broken(`the array of shape (${shape.join(", ")}) is empty`);
  checkSize(sides[0] ?? 0, sides[1] ?? 0, maxPixels);
  const count = shape.reduce((product, side) => product * side, 1);
  const offset = start + headerLength;
  const layout = { dtype: type.dtype, shape, fortran: order[1] === "True", bigEndian: descr[1] === ">" };
  return { ...layout, offset, count, end: offset + count * type.size };
}

/** numpy writes some hundred bytes, and itself refuses more than this. */
const LONGEST_HEADER = 10000;

/** Reads an array of 2 or 3 axes. @param bytes the whole file @throws as npyHeader */
export function readNpy(bytes: Uint8Array, maxPixels: number): RawImage {
  const header = npyHeader(bytes, maxPixels);
  if (!header) throw broken("it is cut off, or not a .npy file");
  const { dtype, shape, fortran, bigEndian, offset, count, end } = header;
  if (bytes.length < end) {
    throw broken(
      `it is cut off: ${bytes.length - offset} bytes of pixels where shape (${shape.join(", ")}) needs ${end - offset}`,
    );
  }
  const stored = samplesOf(bytes, offset, count, dtype, bigEndian);
  return { data: fortran ? toRowMajor(stored, shape) : stored, dtype, shape, alpha: false, notes: [] };
}

/**
 * One plane of an array [planes,H,W], of which `page`, `slice` or `frame` says that its first axis is no channel. An array without
 * any of them, or with channels last, stays as it is.
 */
export function arrayPlane(raw: RawImage, options: DecodeOptions, kind: "image" | "labels"): RawImage {
  const { page, slice, frame, channels } = options;
  const [planes = 0, height = 0, width = 0] = raw.shape;
  if (raw.shape.length !== 3 || !(planes < height && planes < width) || channels !== undefined) return raw;
  const wanted = page ?? slice ?? frame;
  if (wanted === undefined) {
    if (kind === "image" || planes === 1) return raw;
    throw unsupported(
      `it has ${planes} planes of ${height} x ${width}: say which holds the labels with \`slice\`, \`frame\` or \`mask_page\``,
    );
  }
  const size = height * width;
  if (wanted === "max") {
    if (kind === "labels")
      throw unsupported(`it has ${planes} planes, and numbers of cells have no largest value: choose one with \`mask_page\``);
    const data = raw.data.slice(0, size);
    for (let i = size; i < raw.data.length; i++) data[i % size] = Math.max(data[i % size] as number, raw.data[i] as number);
    return { ...raw, data, shape: [height, width] };
  }
  if (wanted >= planes) throw unsupported(`plane ${wanted} was asked for, it has ${planes} (counted from 0)`);
  return { ...raw, data: raw.data.slice(wanted * size, (wanted + 1) * size), shape: [height, width] };
}

/** `count` values of `dtype` from `offset` on, in the byte order of this machine. */
export function samplesOf(bytes: Uint8Array, offset: number, count: number, dtype: string, bigEndian: boolean): Samples {
  const size = Object.values(TYPES).find((type) => type.dtype === dtype)?.size ?? 1;
  // A copy, not a view: Buffer.slice would share the file's bytes, at an offset that the wider types may not start at.
  const copy = new Uint8Array(bytes.subarray(offset, offset + count * size));
  const order = Buffer.from(copy.buffer, copy.byteOffset, copy.byteLength);
  if (bigEndian && size === 2) order.swap16();
  if (bigEndian && size === 4) order.swap32();
  if (bigEndian && size === 8) order.swap64();
  switch (dtype) {
    case "int8":
      return new Int8Array(copy.buffer);
    case "uint16":
      return new Uint16Array(copy.buffer);
    case "int16":
      return new Int16Array(copy.buffer);
    case "uint32":
      return new Uint32Array(copy.buffer);
    case "int32":
      return new Int32Array(copy.buffer);
    case "float32":
      return new Float32Array(copy.buffer);
    case "float64":
      return new Float64Array(copy.buffer);
    case "int64":
      return narrow(new BigInt64Array(copy.buffer));
    case "uint64":
      return narrow(new BigUint64Array(copy.buffer));
    default:
      return copy;
  }
}

function narrow(wide: BigInt64Array | BigUint64Array): Float64Array {
  const out = new Float64Array(wide.length);
  for (let i = 0; i < wide.length; i++) {
    const value = Number(wide[i]);
    if (!Number.isSafeInteger(value)) throw unsupported("it holds 64-bit integers past 2^53; convert to int32");
    out[i] = value;
  }
  return out;
}

/** Fortran order stores the first axis fastest. */
export function toRowMajor(data: Samples, shape: number[]): Samples {
  const out = data.slice();
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, side) => product * side, 1));
  const [a = 1, b = 1, c = 1] = shape;
  const [sa = 0, sb = 0, sc = 0] = strides;
  let to = 0;
  for (let i = 0; i < a; i++) {
    for (let j = 0; j < b; j++) for (let k = 0; k < c; k++) out[to++] = data[i * sa + j * sb + k * sc] ?? 0;
  }
  return out;
}

/** A version 1.0 file of an int32 array in C order. */
export function encodeNpy(data: Int32Array, shape: readonly number[]): Buffer {
  const text = `{'descr': '<i4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const header = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`;
  const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([prefix, Buffer.from(header, "latin1"), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}
