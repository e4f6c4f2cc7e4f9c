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
import { readNpy } from "./formats/npy.js";
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
} from "./image.js";
import { toLabels } from "./labels.js";
import { objectsToLabels } from "./objectRules.js";
import type { DrawnObject } from "./objects.js";
import { byBytes } from "./order.js";
import { toImage } from "./pixels.js";
import { rowsOfMap } from "./raster.js";

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
  ".npy": (bytes, maxPixels, _options, kind) =>
    kind === "labels" && isPickledNpy(bytes) ? readCellpose(bytes, maxPixels) : readNpy(bytes, maxPixels),
  ".npz": (bytes, maxPixels, _options, kind) => readNpz(bytes, maxPixels, kind),
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
  return named(path, async () => toImage(await readRaw(path, options), options.channels));
}

/** @throws CellsamError as decodeLabels */
export async function readLabels(path: string, options: LabelOptions = {}): Promise<LabelMap> {
  return named(path, async () => {
    if (OBJECT_KINDS.some((kind) => kind === options.annotation)) return readObjectFile(path, options);
    if (options.annotation === "object_folders") return readObjects(path, options);
    if (/\.jpe?g$/i.test(path)) throw unsupported("JPEG is lossy and ruins label ids; save masks as PNG, TIFF or .npy");
    const reading = options.annotation === "ome_zarr" ? options : maskOptions(options);
    return toLabels(await readRaw(path, reading, "labels"), options.binaryMasks ?? false, options.ignoreLabel);
  });
}

/** A mask is one page of one channel: `page`, `channels` and the like are for images only. */
function maskOptions({ maxPixels }: LabelOptions): DecodeOptions {
  return maxPixels === undefined ? {} : { maxPixels };
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

/** Non-zero pixels of each file are one object. */
async function readObjects(folder: string, options: LabelOptions): Promise<LabelMap> {
  const objects: DrawnObject[] = [];
  let size = options.size;
  for (const path of await objectFiles(folder)) {
    const { data, shape } = await named(path, async () => {
      const raw = await readRaw(path, maskOptions(options), "labels");
      // Masks of 0 and 255 are expected here, so they are not refused as binary masks.
      return toLabels({ ...raw, dtype: "uint8", data: raw.data.map((value) => (value === 0 ? 0 : 1)) });
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
