/**
 * The pixels of one directory of a TIFF, through geotiff, which undoes compression, predictors, strips and tiles. geotiff
 * tolerates damaged files, so the layout is checked here before pixels are read.
 */
import type { Pool } from "geotiff";
import { lazily } from "../../lazily.js";
import type { RawImage, Samples } from "../image.js";
import { channelsLast } from "../pixels.js";
import { broken, checkSize, unsupported } from "./limits.js";
import { samplesOf } from "./npy.js";
import { boundedDecoders } from "./tiffDecoders.js";
import type { Directory, TiffDirectories } from "./tiffDirectories.js";

const geotiff = lazily<typeof import("geotiff")>("geotiff");

/** none, LZW, deflate (both numbers), PackBits, zstd. */
const LOSSLESS = new Set([1, 5, 8, 32946, 32773, 50000]);
const FORMATS: Record<number, string> = { 1: "uint", 2: "int", 3: "float" };

/** The tags that describe a page, and what they say. */
export interface PageLayout {
  height: number;
  width: number;
  samples: number;
  depth: number;
  /** Number of the sample format, and its name. */
  format: number;
  kind: string;
  photometric: number;
  compression: number;
  predictor: number;
  /** Samples lie in planes, not beside each other. */
  planar: boolean;
}

/** @throws CellsamError ERR_IMAGE_UNSUPPORTED for what is not read, ERR_IMAGE_TOO_LARGE */
export function pageLayout(file: TiffDirectories, directory: Directory, maxPixels: number): PageLayout {
  const tag = (number: number, absent: number) => file.number(directory, number, absent);
  const [width, height, samples] = [tag(256, 0), tag(257, 0), tag(277, 1)];
  checkSize(height, width, maxPixels);
  if (!(samples >= 1)) throw broken("it has no samples");
  // Spectral stacks have many samples a pixel, of fewer pixels.
  checkSize(height, width * samples, Math.max(maxPixels * 4, height * width));
  const bits = file.numbers(directory, 258);
  const formats = file.numbers(directory, 339);
  const [depth, format] = [bits[0] ?? 1, formats[0] ?? 1];
  const compression = tag(259, 1);
  if (!LOSSLESS.has(compression))
    throw unsupported(`TIFF compression ${compression} is not read; save it with LZW, deflate or none`);
  if (new Set(bits).size > 1 || new Set(formats).size > 1) throw unsupported("its channels have different sample types");
  const kind = FORMATS[format];
  const sound = kind === "float" ? [16, 32, 64].includes(depth) : kind && [8, 16, 32, 64].includes(depth);
  const packed = kind === "uint" && depth < 8 && samples === 1;
  if (!kind || (!sound && !packed))
    throw unsupported(`TIFF samples of ${depth} bit (format ${format}) are not read; save 8, 16, 32 or 64 bit`);
  const photometric = tag(262, 1);
  if (photometric > 3)
    throw unsupported(`TIFF photometric ${photometric} (CMYK, YCbCr, Lab, ...) is not read; save it as grey or RGB`);
  const layout = { height, width, samples, depth, format, kind, photometric, compression };
  return { ...layout, predictor: tag(317, 1), planar: tag(284, 1) === 2 };
}

/** What the tags say besides the samples. */
function described(file: TiffDirectories, directory: Directory, layout: PageLayout, data: Samples): RawImage {
  const { height, width, samples, depth, kind, photometric } = layout;
  const extra = file.numbers(directory, 338);
  const raw: RawImage = {
    data,
    dtype: depth === 1 ? "bool" : `${kind}${Math.max(8, depth)}`,
    shape: samples === 1 ? [height, width] : [height, width, samples],
    alpha: extra.length === 1 && (extra[0] === 1 || extra[0] === 2) && (samples === 2 || samples === 4),
    notes: [],
  };
  if (depth < 8) raw.bits = depth;
  if (photometric === 0) raw.whiteIsZero = true;
  if (photometric === 3) raw.palette = colourTable(file.numbers(directory, 320));
  const orientation = file.number(directory, 274, 1);
  if (orientation !== 1) raw.orientation = orientation;
  return raw;
}

/** The file as geotiff sees it, opened once for all pages. */
export type Opened = Awaited<ReturnType<typeof import("geotiff").fromArrayBuffer>>;

export function openPixels(bytes: Uint8Array): Promise<Opened> {
  return geotiff().fromArrayBuffer(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer);
}

/** Reads the page of one directory. @throws CellsamError ERR_IMAGE_BROKEN, ERR_IMAGE_UNSUPPORTED, ERR_IMAGE_TOO_LARGE */
export async function readPage(
  opened: Opened,
  fileSize: number,
  file: TiffDirectories,
  directory: Directory,
  maxPixels: number,
): Promise<RawImage> {
  const layout = pageLayout(file, directory, maxPixels);
  const { height, width, samples, depth, predictor } = layout;
  // geotiff undoes this predictor in the byte order of the machine, so a big-endian file would be read wrong.
  if (file.bigEndian && predictor === 2 && depth > 8)
    throw unsupported("big-endian TIFF with a horizontal predictor is not read; save it uncompressed");
  if (depth === 64 && layout.kind !== "float" && predictor !== 1)
    throw unsupported("TIFF of 64-bit integers with a predictor is not read; save it without");
  const { GeoTIFFImage } = geotiff();
  const tags = await opened.parser.parseFileDirectoryAt(directory.offset);
  const wide = depth === 64 && layout.kind !== "float";
  if (wide) {
    // geotiff has no 64-bit integers: each is read as two of 32 bit beside each other.
    tags.actualizedFields.set(258, new Array(samples * 2).fill(32));
    tags.actualizedFields.set(339, new Array(samples * 2).fill(1));
    tags.actualizedFields.set(277, samples * 2);
    if (layout.planar && samples > 1) throw unsupported("TIFF of 64-bit integers in planes is not read; save 32 bit");
  }
  const image = new GeoTIFFImage(tags, !file.bigEndian, false, opened.source);
  const block = checkLayout(file, directory, layout, fileSize, maxPixels, (height * width * samples * depth) / 8);
  const pool = boundedDecoders(block);
  // A view of its own: geotiff's array has properties besides its values.
  const rasters = await image.readRasters({ interleave: true, pool: pool as unknown as Pool });
  if (pool.failure) throw pool.failure.error;
  const data = (rasters as unknown as Samples).subarray();
  if (data.length !== height * width * samples * (wide ? 2 : 1)) throw broken("the tags of its size contradict each other");
  return described(file, directory, layout, wide ? joined(data as Uint32Array, layout.kind, file.bigEndian) : data);
}

/** Pairs of 32-bit words to 64-bit integers. */
function joined(words: Uint32Array, kind: string, bigEndian: boolean): Samples {
  const copy = words.slice();
  if (bigEndian) {
    for (let i = 0; i + 1 < copy.length; i += 2) [copy[i], copy[i + 1]] = [copy[i + 1] as number, copy[i] as number];
  }
  const bytes = new Uint8Array(copy.buffer);
  // Typed arrays have the byte order of the machine, as samplesOf expects without `bigEndian` on all that Node.js runs on.
  return samplesOf(bytes, 0, copy.length / 2, `${kind}64`, false);
}

/**
 * Reads plane `index` of those that lie one after the other from the first strip on, without directories of their own: ImageJ
 * and tifffile write them so, MetaMorph too. Undefined where they cannot lie so.
 */
export function readContiguousPlane(
  bytes: Uint8Array,
  file: TiffDirectories,
  directory: Directory,
  { index, count, maxPixels }: { index: number; count: number; maxPixels: number },
): RawImage | undefined {
  const layout = pageLayout(file, directory, maxPixels);
  const { height, width, samples, depth, compression } = layout;
  const values = height * width * samples;
  const size = (values * depth) / 8;
  const strips = file.numbers(directory, 273);
  const counts = file.numbers(directory, 279);
  const start = strips[0];
  if (compression !== 1 || depth < 8 || start === undefined) return undefined;
  if (layout.kind === "float" && depth === 16) return undefined;
  for (let i = 1, at = start; i < strips.length; i++) {
    at += counts[i - 1] ?? 0;
    if (strips[i] !== at) return undefined;
  }
  if (start + count * size > file.nextHeader(start)) return undefined;
  const data = samplesOf(bytes, start + index * size, values, `${layout.kind}${depth}`, file.bigEndian);
  if (!layout.planar || samples === 1) return described(file, directory, layout, data);
  return described(file, directory, layout, channelsLast(data, [samples, height, width]));
}

/**
 * Checks that every strip or tile lies inside the file: geotiff would read a missing one as zeros.
 * @returns the most bytes that one of them may unpack to
 */
function checkLayout(
  file: TiffDirectories,
  directory: Directory,
  { height, width, samples, depth, compression, planar }: PageLayout,
  fileSize: number,
  maxPixels: number,
  needed: number,
): number {
  const tiled = file.count(directory, 273) === 0;
  const name = tiled ? "tile" : "strip";
  const offsets = file.numbers(directory, tiled ? 324 : 273);
  const counts = file.numbers(directory, tiled ? 325 : 279);
  const across = tiled ? file.number(directory, 322, 0) : width;
  const rows = file.number(directory, tiled ? 323 : 278, tiled ? 0 : height);
  const down = tiled ? rows : Math.min(rows || height, height);
  if (!(across >= 1 && down >= 1)) throw broken("its tiles have no size");
  // Padding makes the tiles of a small image larger than it, but never so large.
  if (tiled) checkSize(down, across, Math.max(maxPixels, 2 ** 24));
  const blocks = Math.ceil(width / across) * Math.ceil(height / down) * (planar ? samples : 1);
  if (offsets.length < blocks || counts.length < blocks) throw broken(`it lists ${offsets.length} of ${blocks} ${name}s`);
  let stored = 0;
  for (let i = 0; i < blocks; i++) {
    const count = counts[i] ?? 0;
    if (count === 0 || (offsets[i] ?? 0) + count > fileSize) throw broken("the TIFF is cut off");
    stored += count;
  }
  const densest = compression === 1 ? 1 : compression === 32773 ? 64 : compression === 50000 ? 40000 : 1500;
  if (needed > stored * densest + 4096)
    throw broken(`the TIFF declares ${needed} bytes, which its ${stored} bytes cannot hold`);
  // Rows begin with a whole byte; some writers fill the last strip up, or round a little more.
  return Math.ceil((across * (planar ? 1 : samples) * depth) / 8) * down + 4096;
}

/** 16-bit table in planes (all R, all G, all B) to 8-bit triples. */
function colourTable(planes: number[]): Uint8Array {
  const entries = planes.length / 3;
  return Uint8Array.from({ length: planes.length }, (_, i) => (planes[(i % 3) * entries + Math.floor(i / 3)] ?? 0) >> 8);
}
