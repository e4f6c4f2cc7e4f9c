/** Reads one file: chooses the format reader, applies the rules, and names the file in errors. Runs in a decode worker. */

import { readFileSync, statSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { CellsamError } from "../errors.js";
import { readBmp } from "./formats/bmp.js";
import { isPickledNpy, readCellpose } from "./formats/cellpose.js";
import { cocoStem, paintCoco, parseCoco } from "./formats/coco.js";
import { readGeojson } from "./formats/geojson.js";
import { readJpeg } from "./formats/jpeg.js";
import { annotation, broken, unsupported } from "./formats/limits.js";
import { readNpy } from "./formats/npy.js";
import { readNpz } from "./formats/npz.js";
import { readPng } from "./formats/png.js";
import { readTiff } from "./formats/tiff.js";
import {
  DEFAULT_MAX_PIXELS,
  type DecodeOptions,
  type LabelMap,
  type LabelOptions,
  type NdImage,
  type RawImage,
  type StoredImage,
} from "./image.js";
import { toLabels } from "./labels.js";
import { byBytes } from "./order.js";
import { toImage } from "./pixels.js";
import { paint } from "./raster.js";
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
  ".bmp": readBmp,
  ".npy": (bytes, maxPixels, _options, kind) =>
    kind === "labels" && isPickledNpy(bytes) ? readCellpose(bytes, maxPixels) : readNpy(bytes, maxPixels),
  ".npz": (bytes, maxPixels, _options, kind) => readNpz(bytes, maxPixels, kind),
};

/** Extensions that are read, lower case. */
export const EXTENSIONS: readonly string[] = Object.keys(readers);

/**
 * The stored samples of a file, before any rule. `kind` chooses the array of a .npz, and whether a .npy may hold Cellpose's
 * dict.
 */
export async function readRaw(path: string, options: DecodeOptions = {}, kind: Kind = "image"): Promise<RawImage> {
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  const bytes = await bytesOf(path, maxPixels);
  const extension = extname(path).toLowerCase();
  const read = Object.hasOwn(readers, extension) ? readers[extension] : undefined;
  if (!read) throw unsupported(`files of type ${extname(path)} are not read; use ${EXTENSIONS.join(", ")}`);
  return read(bytes, maxPixels, options, kind);
}

/**
 * Reads synchronously: this thread has nothing else to do, and an asynchronous read costs half as much time as decoding a small
 * file.
 */
async function bytesOf(path: string, maxPixels: number): Promise<Buffer> {
  const info = statSync(path);
  if (!info.isFile()) throw new CellsamError("ERR_FILE", "it is not a file");
  if (info.size === 0) throw broken("it is empty (0 bytes)");
  // A valid file of the allowed size has at most 16 bytes a pixel and a header.
  if (info.size > maxPixels * 16 + 2 ** 26)
    throw new CellsamError("ERR_IMAGE_TOO_LARGE", `it has ${info.size} bytes, more than max_pixels allows`);
  return readFileSync(path);
}

/** @throws CellsamError as decodeImage */
export async function readImage(path: string, options: DecodeOptions = {}): Promise<NdImage> {
  return named(path, async () => toImage(await readRaw(path, options), options.channels));
}

/** @throws CellsamError as decodeImage */
export async function readStored(path: string, options: DecodeOptions = {}): Promise<StoredImage> {
  return named(path, async () =>
    toStored(await readRaw(path, { ...options, allChannels: true }), options.channels !== undefined),
  );
}

/** @throws CellsamError as decodeLabels */
export async function readLabels(path: string, options: LabelOptions = {}): Promise<LabelMap> {
  return named(path, async () => {
    const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
    switch (options.annotation) {
      case "coco":
        return paintCoco(await cocoOf(path, maxPixels), options.item ?? "", options.categories);
      case "geojson":
        if (!options.size) throw annotation("GeoJSON does not say how large the image is: give `size`");
        return readGeojson(await bytesOf(path, maxPixels), options.size);
      case "object_folders":
        return readObjects(path, options);
      default:
        if (/\.jpe?g$/i.test(path)) throw unsupported("JPEG is lossy and ruins label ids; save masks as PNG, TIFF or .npy");
        return toLabels(await readRaw(path, maskOptions(options), "labels"), options.binaryMasks ?? false, options.ignoreLabel);
    }
  });
}

/** A mask is one page of one channel: `page`, `channels` and the like are for images only. */
function maskOptions({ maxPixels }: LabelOptions): DecodeOptions {
  return maxPixels === undefined ? {} : { maxPixels };
}

/** The images that a COCO file lists, with the names by which they are paired. */
export async function listCoco(path: string): Promise<{ stem: string; fileName: string; height: number; width: number }[]> {
  return named(path, async () => {
    const { images } = await cocoOf(path, DEFAULT_MAX_PIXELS);
    return images.map(({ fileName, height, width }) => ({ stem: cocoStem(fileName), fileName, height, width }));
  });
}

/** The file that was parsed last: one COCO file serves every image of a data set. */
let latest: { key: string; file: ReturnType<typeof parseCoco> } | undefined;

async function cocoOf(path: string, maxPixels: number): Promise<ReturnType<typeof parseCoco>> {
  const { mtimeMs, size, ino } = await stat(path);
  const key = JSON.stringify([path, mtimeMs, size, ino]);
  if (latest?.key !== key) latest = { key, file: parseCoco(await bytesOf(path, maxPixels)) };
  return latest.file;
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

/** Non-zero pixels of each file are one object; ids 1..N in the order of the names, later ones on top. */
async function readObjects(folder: string, options: LabelOptions): Promise<LabelMap> {
  const files = await objectFiles(folder);
  let size = options.size;
  const shapes = [];
  for (const [i, path] of files.entries()) {
    const { data, shape } = await named(path, async () => {
      const raw = await readRaw(path, maskOptions(options), "labels");
      // Masks of 0 and 255 are expected here, so they are not refused as binary masks.
      return toLabels({ ...raw, dtype: "uint8", data: raw.data.map((value) => (value === 0 ? 0 : 1)) });
    });
    const [height, width] = shape;
    size ??= shape;
    if (height !== size[0] || width !== size[1])
      throw annotation(`${path} has ${height} x ${width} pixels where ${size.join(" x ")} are needed`);
    const runs: number[] = [];
    for (let at = 0; at < data.length; at++) if (data[at]) runs.push(at);
    shapes.push({
      name: files[i]?.slice(folder.length + 1) ?? "",
      ignore: false,
      fill: (run: (row: number, from: number, to: number) => void) => {
        for (const at of runs) run(Math.floor(at / width), at % width, (at % width) + 1);
      },
    });
  }
  if (!size) throw annotation("it holds no mask of an object");
  return paint(shapes, size);
}

const SYSTEM: Record<string, string> = {
  ENOENT: "it does not exist (or is a link to nothing)",
  EACCES: "it may not be read (permissions)",
  EPERM: "it may not be read (permissions)",
  ELOOP: "it is a link that leads back to itself",
  EISDIR: "it is a folder",
};

async function named<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (error instanceof CellsamError)
      throw new CellsamError(error.code, `${path}: ${message}`, { detail: { path, reason: message }, cause: error.cause });
    const reason = SYSTEM[code] ?? message;
    throw new CellsamError(code in SYSTEM ? "ERR_FILE" : "ERR_IMAGE_BROKEN", `${path}: ${reason}`, {
      detail: { path, reason },
      cause: error,
    });
  }
}
