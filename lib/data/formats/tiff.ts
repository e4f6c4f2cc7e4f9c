/**
 * TIFF and BigTIFF through geotiff, which undoes compression, predictors, strips and tiles. geotiff tolerates damaged files, so
 * the layout is checked here before pixels are read.
 */
import type { GeoTIFFImage } from "geotiff";
import { lazily } from "../../lazily.js";
import type { DecodeOptions, RawImage, Samples } from "../image.js";
import { broken, checkSize, unsupported } from "./limits.js";
import { choosePages, pageAxes } from "./tiffAxes.js";

const geotiff = lazily<typeof import("geotiff")>("geotiff");

/** none, LZW, deflate (both numbers), PackBits, zstd. */
const LOSSLESS = new Set([1, 5, 8, 32946, 32773, 50000]);
const FORMATS: Record<number, string> = { 1: "uint", 2: "int", 3: "float" };

/**
 * Reads one page, or the pages of the channels, slice and frame that `options` choose as [H,W,channels]. Smaller copies of an
 * image (pyramid levels, thumbnails) are not pages.
 *
 * @param bytes the whole file
 * @throws CellsamError ERR_IMAGE_UNSUPPORTED for several pages of which none is chosen, ERR_IMAGE_BROKEN, ERR_IMAGE_TOO_LARGE
 */
export async function readTiff(bytes: Uint8Array, maxPixels: number, options: DecodeOptions = {}): Promise<RawImage> {
  const order = bytes.length < 8 ? "" : String.fromCharCode(bytes[0] ?? 0, bytes[1] ?? 0);
  if (order !== "II" && order !== "MM") throw broken("it is not a TIFF file");
  try {
    const file = await geotiff().fromArrayBuffer(
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
    );
    const pages: GeoTIFFImage[] = [];
    const total = await file.getImageCount();
    for (let i = 0; i < total; i++) {
      const image = await file.getImage(i);
      const kind = Number((await tag(image, "NewSubfileType")) ?? 0);
      if ((kind & 1) === 0) pages.push(image);
    }
    const read = (at: number) => {
      const image = pages[at];
      if (!image) throw unsupported(`page ${at} was asked for, the file has ${pages.length}`);
      return readPage(image, bytes.length, maxPixels, order === "MM");
    };
    if (options.page !== undefined) return await read(options.page);
    if (pages.length <= 1) return await read(0);
    const description = String((await tag(pages[0] as GeoTIFFImage, "ImageDescription")) ?? "");
    const axes = pageAxes(description, pages.length);
    const chosen = choosePages(axes, options);
    const planes: RawImage[] = [];
    for (const stack of chosen) {
      let plane: RawImage | undefined;
      for (const at of stack) plane = plane ? largest(plane, await read(at)) : await read(at);
      planes.push(plane as RawImage);
    }
    return axes.channels > 1 ? interleaved(planes) : (planes[0] as RawImage);
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("ERR_IMAGE_")) throw error;
    throw broken(`the TIFF data is damaged (${(error as Error).message})`, error);
  }
}

function sameKind(a: RawImage, b: RawImage): void {
  if (a.shape.join() !== b.shape.join() || a.dtype !== b.dtype || a.shape.length !== 2)
    throw unsupported("its pages differ in size or sample type, or are coloured; choose one with `page`");
}

/** The larger value of each pixel. */
function largest(a: RawImage, b: RawImage): RawImage {
  sameKind(a, b);
  return { ...a, data: a.data.map((value, i) => Math.max(value, b.data[i] ?? 0)) as Samples };
}

/** Planes [H,W] to [H,W,C]. */
function interleaved(planes: RawImage[]): RawImage {
  const first = planes[0] as RawImage;
  for (const plane of planes) sameKind(first, plane);
  const data = new (first.data.constructor as new (length: number) => Samples)(first.data.length * planes.length);
  for (const [c, plane] of planes.entries()) {
    for (let i = 0; i < plane.data.length; i++) data[i * planes.length + c] = plane.data[i] ?? 0;
  }
  return { ...first, data, shape: [...first.shape, planes.length], selected: true };
}

async function readPage(image: GeoTIFFImage, fileSize: number, maxPixels: number, bigEndian: boolean): Promise<RawImage> {
  const height = image.getHeight();
  const width = image.getWidth();
  checkSize(height, width, maxPixels);
  const samples = image.getSamplesPerPixel();
  const bits = numbers((await tag(image, "BitsPerSample")) ?? [1]);
  const formats = numbers((await tag(image, "SampleFormat")) ?? [1]);
  const photometric = Number((await tag(image, "PhotometricInterpretation")) ?? 1);
  const compression = Number((await tag(image, "Compression")) ?? 1);
  const predictor = Number((await tag(image, "Predictor")) ?? 1);
  const depth = bits[0] ?? 1;
  const format = FORMATS[formats[0] ?? 1];
  if (!LOSSLESS.has(compression))
    throw unsupported(`TIFF compression ${compression} is not read; save it with LZW, deflate or none`);
  if (new Set(bits).size > 1 || new Set(formats).size > 1) throw unsupported("its channels have different sample types");
  const sound = format === "float" ? [16, 32, 64].includes(depth) : format && [8, 16, 32].includes(depth);
  const packed = format === "uint" && depth < 8 && samples === 1;
  if (!sound && !packed)
    throw unsupported(`TIFF samples of ${depth} bit (format ${formats[0]}) are not read; save 8, 16 or 32 bit`);
  // geotiff undoes this predictor in the byte order of the machine, so a big-endian file would be read wrong.
  if (bigEndian && predictor === 2 && depth > 8)
    throw unsupported("big-endian TIFF with a horizontal predictor is not read; save it uncompressed");
  if (photometric > 3)
    throw unsupported(`TIFF photometric ${photometric} (CMYK, YCbCr, Lab, ...) is not read; save it as grey or RGB`);
  await checkLayout(image, fileSize, compression, (height * width * samples * depth) / 8);

  const data = (await image.readRasters({ interleave: true })) as unknown as Samples;
  const extra = numbers((await tag(image, "ExtraSamples")) ?? []);
  const alpha = extra.length === 1 && (extra[0] === 1 || extra[0] === 2) && (samples === 2 || samples === 4);
  const raw: RawImage = {
    data,
    dtype: depth === 1 ? "bool" : `${format}${Math.max(8, depth)}`,
    shape: samples === 1 ? [height, width] : [height, width, samples],
    alpha,
    notes: [],
  };
  if (depth < 8) raw.bits = depth;
  if (photometric === 0) raw.whiteIsZero = true;
  if (photometric === 3) raw.palette = colourTable(numbers((await tag(image, "ColorMap")) ?? []));
  return raw;
}

/** Checks that every strip or tile lies inside the file: geotiff would read a missing one as zeros. */
async function checkLayout(image: GeoTIFFImage, fileSize: number, compression: number, needed: number): Promise<void> {
  const name = image.isTiled ? "Tile" : "Strip";
  const offsets = numbers(await tag(image, `${name}Offsets`));
  const counts = numbers(await tag(image, `${name}ByteCounts`));
  const planes = image.planarConfiguration === 2 ? image.getSamplesPerPixel() : 1;
  if (!(image.getTileWidth() >= 1 && image.getTileHeight() >= 1)) throw broken("its tiles have no size");
  const blocks =
    Math.ceil(image.getWidth() / image.getTileWidth()) * Math.ceil(image.getHeight() / image.getTileHeight()) * planes;
  if (offsets.length < blocks || counts.length < blocks)
    throw broken(`it lists ${offsets.length} of ${blocks} ${name.toLowerCase()}s`);
  let stored = 0;
  for (let i = 0; i < blocks; i++) {
    const count = counts[i] ?? 0;
    if (count === 0 || (offsets[i] ?? 0) + count > fileSize) throw broken("the TIFF is cut off");
    stored += count;
  }
  const densest = compression === 1 ? 1 : compression === 32773 ? 64 : compression === 50000 ? 40000 : 1500;
  if (needed > stored * densest + 4096)
    throw broken(`the TIFF declares ${needed} bytes, which its ${stored} bytes cannot hold`);
}

/** 16-bit table in planes (all R, all G, all B) to 8-bit triples. */
function colourTable(planes: number[]): Uint8Array {
  const entries = planes.length / 3;
  return Uint8Array.from({ length: planes.length }, (_, i) => (planes[(i % 3) * entries + Math.floor(i / 3)] ?? 0) >> 8);
}

async function tag(image: GeoTIFFImage, name: string): Promise<unknown> {
  const directory = image.getFileDirectory();
  return directory.hasTag(name as never) ? await directory.loadValue(name as never) : undefined;
}

function numbers(value: unknown): number[] {
  if (value === undefined || value === null) return [];
  return typeof value === "object" ? Array.from(value as ArrayLike<number | bigint>, Number) : [Number(value)];
}
