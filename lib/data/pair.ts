/**
 * Reads the image and the label map of a pair as a configuration says. Training, prediction and evaluation read files only
 * through this.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeImage, decodeLabels, decodeStored } from "./decode.js";
import type { Pair } from "./discover.js";
import type { DecodeOptions, LabelMap, LabelOptions, NdImage, StoredImage } from "./image.js";
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
  categories?: readonly string[] | null;
}

function imageOptions({ maxPixels, page, channels, slice, frame }: ReadingOptions): DecodeOptions {
  const given = Object.entries({ maxPixels, page, channels, slice, frame }).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(given) as DecodeOptions;
}

/** The image of a pair. @throws CellsamError as decodeImage */
export function pairImage({ image }: Pick<Pair, "image">, options: ReadingOptions = {}): Promise<NdImage> {
  return decodeImage(image, imageOptions(options));
}

/** The pixels of a pair's image as its file stores them, every channel. @throws CellsamError as decodeStored */
export function pairStored({ image }: Pick<Pair, "image">, options: ReadingOptions = {}): Promise<StoredImage> {
  return decodeStored(image, imageOptions(options));
}

/**
 * The label map of a pair that has a mask.
 *
 * @param pair with `size`, or `height` and `width`, of the image, which GeoJSON needs. A checked pair has them; otherwise the
 * image is decoded.
 * @throws CellsamError as decodeLabels
 */
export async function pairLabels(
  pair: Pair & { size?: readonly [number, number] | undefined; height?: number; width?: number },
  options: ReadingOptions = {},
): Promise<LabelMap> {
  const wanted: LabelOptions = { binaryMasks: options.binaryMasks ?? false };
  if (options.maxPixels != null) wanted.maxPixels = options.maxPixels;
  if (options.ignoreLabel != null) wanted.ignoreLabel = options.ignoreLabel;
  if (options.categories != null) wanted.categories = options.categories;
  if (pair.annotation) wanted.annotation = pair.annotation;
  if (pair.item !== undefined) wanted.item = pair.item;
  const { height, width } = pair;
  if (pair.size) wanted.size = pair.size;
  else if (height !== undefined && width !== undefined) wanted.size = [height, width];
  else if (pair.annotation === "geojson") {
    const { shape } = await pairImage(pair, options);
    wanted.size = [shape[0], shape[1]];
  }
  return decodeLabels(pair.mask as string, wanted);
}

/** All files that a pair is read from, in a fixed order: for hashes of their content. */
export async function filesOf(pair: Pair): Promise<string[]> {
  if (pair.mask === undefined) return [pair.image];
  if (pair.annotation !== "object_folders") return [pair.image, pair.mask];
  const entries = await readdir(pair.mask, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return [pair.image, ...byBytes(files)];
}
