/** Reads one file: chooses the format reader, applies the rules, and names the file in errors. Runs in a decode worker. */

import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { readObjectFile } from "./annotationFile.js";
import { bytesOf, named } from "./file.js";
import { isZarrFolder } from "./folder.js";
import { readBmp } from "./formats/bmp.js";
import { isPickledNpy, readCellpose } from "./formats/cellpose.js";
import { readJpeg } from "./formats/jpeg.js";
import { annotation, unsupported } from "./formats/limits.js";
import { arrayPlane, readNpy } from "./formats/npy.js";
import { readNpz } from "./formats/npz.js";
import { readOmeZarr } from "./formats/omeZarr.js";
import { readPng } from "./formats/png.js";
import { readTiff } from "./formats/tiff.js";
import {
  DEFAULT_MAX_PIXELS,
  type DecodeOptions,
  type LabelMap,
  type LabelOptions,
  type NdImage,
  OBJECT_KINDS,
  type RawImage,
  type StoredImage,
} from "./image.js";
import { labelFacts } from "./labelFacts.js";
import { removeSmall, toLabels, toObject } from "./labels.js";
import { objectsToLabels } from "./objectRules.js";
import type { DrawnObject } from "./objects.js";
import { byBytes } from "./order.js";
import { isTurned, turned } from "./orientation.js";
import { toImage } from "./pixels.js";
import { rowsOfMap } from "./raster.js";
import { toStored } from "./stored.js";

type Kind = "image" | "labels";
type Reader = (bytes: Buffer, maxPixels: number, options: DecodeOptions, kind: Kind) => RawImage | Promise<RawImage>;

/**
 * The formats by extension, lower case. A reader compares the size in the header with `maxPixels` before it allocates memory.
 */
const readers: Record<string, Reader> = {
  ".png": readPng,
  ".jpg": readJpeg,
  ".jpeg": readJpeg,
  ".tif": readTiff,
  ".tiff": readTiff,
  // TIFF by other names: BigTIFF, and what microscopes of Zeiss, MetaMorph and PerkinElmer write.
  ".btf": readTiff,
  ".tf2": readTiff,
  ".tf8": readTiff,
  ".lsm": readTiff,
  ".stk": readTiff,
  ".flex": readTiff,
  ".bmp": readBmp,
  ".npy": (bytes, maxPixels, options, kind) =>
    kind === "labels" && isPickledNpy(bytes)
      ? readCellpose(bytes, maxPixels)
      : arrayPlane(readNpy(bytes, maxPixels), options, kind),
  ".npz": async (bytes, maxPixels, options, kind) => arrayPlane(await readNpz(bytes, maxPixels, kind), options, kind),
};

/** Extensions that are read, lower case; OME-Zarr is a folder. */
export const EXTENSIONS: readonly string[] = [...Object.keys(readers), ".zarr"];

/**
 * The stored samples of a file, before any rule. `kind` chooses the array of a .npz, and whether a .npy may hold Cellpose's
 * dict.
 */
export async function readRaw(path: string, options: DecodeOptions = {}, kind: Kind = "image"): Promise<RawImage> {
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  if (await isZarrFolder(path)) return readOmeZarr(path, maxPixels, options, kind);
  const bytes = bytesOf(path, maxPixels);
  const extension = extname(path).toLowerCase();
  const read = Object.hasOwn(readers, extension) ? readers[extension] : undefined;
  if (!read) throw unsupported(`files of type ${extname(path)} are not read; use ${EXTENSIONS.join(", ")}`);
  return read(bytes, maxPixels, options, kind);
}

/** @throws CellsamError as decodeImage */
export async function readImage(path: string, options: DecodeOptions = {}): Promise<NdImage> {
  return named(path, async () => {
    const raw = await readRaw(path, options);
    return oriented(toImage(raw, options.channels, options.keepColours), raw.orientation, options.asStored);
  });
}

/** Turns pixels as viewers show them, unless `asStored`. */
function oriented<T extends NdImage | LabelMap>(image: T, orientation: number | undefined, asStored = false): T {
  if (!isTurned(orientation)) return image;
  const stored = { shape: [image.shape[0], image.shape[1]] as [number, number], orientation };
  const how = asStored
    ? `the EXIF orientation (${orientation}) was not applied: the mask fits the pixels as they are stored`
    : `the EXIF orientation (${orientation}) was applied, as viewers do`;
  const result = asStored ? image : turned(image, orientation);
  return { ...result, stored, notes: [...image.notes, how] };
}

/** @throws CellsamError as decodeImage */
export async function readStored(path: string, options: DecodeOptions = {}): Promise<StoredImage> {
  return named(path, async () => {
    const raw = await readRaw(path, { ...options, allChannels: true });
    const stored = toStored(raw, options.channels !== undefined);
    return isTurned(raw.orientation) && !options.asStored ? turned(stored, raw.orientation) : stored;
  });
}

/** @throws CellsamError as decodeLabels */
export async function readLabels(path: string, options: LabelOptions = {}): Promise<LabelMap> {
  const labels = await readAnnotation(path, options);
  const removed = options.minCellArea ? removeSmall(labels, options.minCellArea) : 0;
  return options.facts ? { ...labels, facts: labelFacts(labels, removed) } : labels;
}

async function readAnnotation(path: string, options: LabelOptions): Promise<LabelMap> {
  return named(path, async () => {
    if (OBJECT_KINDS.some((kind) => kind === options.annotation)) return readObjectFile(path, options);
    if (options.annotation === "object_folders") return readObjects(path, options);
    // A foreground mask survives JPEG, since it is cut at half of its highest value.
    if (/\.jpe?g$/i.test(path) && !options.binaryMasks)
      throw unsupported(
        "JPEG is lossy and ruins label ids; save masks as PNG, TIFF or .npy (a foreground mask can be read with `binary_masks: true`)",
      );
    const reading = options.annotation === "ome_zarr" ? options : maskOptions(options);
    const raw = await readRaw(path, reading, "labels");
    return oriented(toLabels(raw, options), raw.orientation, options.asStored);
  });
}

/** A mask has one channel, and a page of its own; slice and frame are those of its image. */
function maskOptions({ maxPixels, maskPage, slice, frame }: LabelOptions): DecodeOptions {
  return {
    ...(maxPixels !== undefined && { maxPixels }),
    ...(maskPage !== undefined && { page: maskPage }),
    ...(slice !== undefined && { slice }),
    ...(frame !== undefined && { frame }),
  };
}

/**
 * Files of one object each: in the folder itself, or in its folder "masks" as in DSB 2018. Sorted by the bytes of their names.
 */
export async function objectFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const inner = entries.find((entry) => entry.name === "masks" && entry.isDirectory());
  if (inner) return objectFiles(join(folder, "masks"));
  const files = entries.filter(({ name }) => !name.startsWith(".") && MASK_EXTENSIONS.has(extname(name).toLowerCase()));
  return byBytes(files.map(({ name }) => join(folder, name)));
}

const MASK_EXTENSIONS = new Set<string>(EXTENSIONS.filter((extension) => !/jpe?g/.test(extension)));

/** The foreground of each file is one object. */
async function readObjects(folder: string, options: LabelOptions): Promise<LabelMap> {
  const objects: DrawnObject[] = [];
  let size = options.size;
  for (const path of await objectFiles(folder)) {
    const { data, shape } = await named(path, async () => {
      return toObject(await readRaw(path, maskOptions(options), "labels"));
    });
    const [height, width] = shape;
    size ??= shape;
    if (height !== size[0] || width !== size[1])
      throw annotation(`${path} has ${height} x ${width} pixels where ${size.join(" x ")} are needed`);
    objects.push({ name: path.slice(folder.length + 1), outline: { rows: rowsOfMap(data, shape) } });
  }
  if (!size) throw annotation("it holds no mask of an object");
  return objectsToLabels({ objects }, size);
}
