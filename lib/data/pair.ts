/**
 * Reads the image and the label map of a pair as a configuration says. Training, prediction and evaluation read files only
 * through this.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { decodeImage, decodeLabels, decodeStored } from "./decode.js";
import type { Pair } from "./discover.js";
import {
  type DecodeOptions,
  type LabelMap,
  type LabelOptions,
  type NdImage,
  OBJECT_KINDS,
  type Relabel,
  type StoredImage,
} from "./image.js";
import { byBytes } from "./order.js";

/** The settings of lib/config/reading.ts that decide what is read; null is the same as absent. */
export interface ReadingOptions {
  maxPixels?: number | null;
  page?: number | null;
  channels?: readonly number[] | null;
  slice?: number | "max" | null;
  frame?: number | null;
  binaryMasks?: boolean;
  ignoreLabel?: number | null;
  categories?: readonly (string | number)[] | null;
  outline?: "cell" | "nucleus";
  withoutOutline?: "error" | "leave_out" | "ignore";
  maskPage?: number | null;
  backgroundLabel?: number | null;
  relabel?: Relabel;
  minCellArea?: number;
  /** Settings that say what colours mean; with one of them, an image of which one channel holds anything keeps its colours. */
  nuclearChannel?: string | null;
  wholeCellChannel?: string | null;
  rgbTransform?: boolean;
  stainTransform?: boolean;
}

function imageOptions({ maxPixels, page, channels, slice, frame, ...colours }: ReadingOptions): DecodeOptions {
  const { nuclearChannel, wholeCellChannel, rgbTransform, stainTransform } = colours;
  const given = Object.entries({ maxPixels, page, channels, slice, frame }).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  const keepColours = nuclearChannel != null || wholeCellChannel != null || rgbTransform || stainTransform;
  return { ...Object.fromEntries(given), ...(keepColours && { keepColours }) } as DecodeOptions;
}

/** Which file of a pair is read without its EXIF orientation, because image and mask fit only so; a check finds it out. */
export interface AsStored {
  imageAsStored?: boolean;
  maskAsStored?: boolean;
}

/** The image of a pair. @throws CellsamError as decodeImage */
export function pairImage(
  { image, imageAsStored }: Pick<Pair, "image"> & AsStored,
  options: ReadingOptions = {},
): Promise<NdImage> {
  return decodeImage(image, { ...imageOptions(options), ...(imageAsStored && { asStored: true }) });
}

/** The pixels of a pair's image as its file stores them, every channel. @throws CellsamError as decodeStored */
export function pairStored({ image }: Pick<Pair, "image">, options: ReadingOptions = {}): Promise<StoredImage> {
  return decodeStored(image, imageOptions(options));
}

/**
 * The label map of a pair that has a mask.
 *
 * @param pair with `size`, or `height` and `width`, of the image, which most annotations need. A checked pair has them; otherwise the
 * image is decoded.
 * @param options with `facts`, what labelFindings.ts judges is counted too
 * @throws CellsamError as decodeLabels
 */
export async function pairLabels(
  pair: Pair & AsStored & { size?: readonly [number, number] | undefined; height?: number; width?: number },
  options: ReadingOptions & { facts?: boolean } = {},
): Promise<LabelMap> {
  const wanted: LabelOptions = { binaryMasks: options.binaryMasks ?? false };
  if (options.maxPixels != null) wanted.maxPixels = options.maxPixels;
  if (options.ignoreLabel != null) wanted.ignoreLabel = options.ignoreLabel;
  if (options.categories != null) wanted.categories = options.categories.map(String);
  if (options.outline) wanted.outline = options.outline;
  if (options.withoutOutline) wanted.withoutOutline = options.withoutOutline;
  if (options.backgroundLabel != null) wanted.backgroundLabel = options.backgroundLabel;
  if (options.relabel) wanted.relabel = options.relabel;
  if (options.minCellArea) wanted.minCellArea = options.minCellArea;
  if (options.facts) wanted.facts = true;
  if (options.maskPage != null) wanted.maskPage = options.maskPage;
  if (options.slice != null) wanted.slice = options.slice;
  if (options.frame != null) wanted.frame = options.frame;
  if (pair.maskAsStored) wanted.asStored = true;
  if (pair.annotation) wanted.annotation = pair.annotation;
  if (pair.item !== undefined) wanted.item = pair.item;
  const { height, width } = pair;
  if (pair.size) wanted.size = pair.size;
  else if (height !== undefined && width !== undefined) wanted.size = [height, width];
  else if (OBJECT_KINDS.some((kind) => kind === pair.annotation)) {
    const { shape } = await pairImage(pair, options);
    wanted.size = [shape[0], shape[1]];
  }
  return decodeLabels(pair.mask as string, wanted);
}

/** All files that a pair is read from, in a fixed order: for hashes of their content. */
export async function filesOf(pair: Pair): Promise<string[]> {
  const paths = [pair.image, ...(pair.mask === undefined || pair.mask === pair.image ? [] : [pair.mask])];
  const files = await Promise.all(paths.map(filesBelow));
  return files.flat();
}

/** A file, or all files in a folder (masks of one object each, OME-Zarr). */
async function filesBelow(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return byBytes(entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)));
}
