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
import { arrayPlane, readNpy } from "./formats/npy.js";
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
} from "./image.js";
import { labelFacts } from "./labelFacts.js";
import { removeSmall, toLabels, toObject } from "./labels.js";
import { byBytes } from "./order.js";
import { isTurned, turned } from "./orientation.js";
import { toImage } from "./pixels.js";
import { paint } from "./raster.js";

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
  ".npy": (bytes, maxPixels, options, kind) =>
    kind === "labels" && isPickledNpy(bytes)
      ? readCellpose(bytes, maxPixels)
      : arrayPlane(readNpy(bytes, maxPixels), options, kind),
  ".npz": async (bytes, maxPixels, options, kind) => arrayPlane(await readNpz(bytes, maxPixels, kind), options, kind),
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

/** @throws CellsamError as decodeLabels */
export async function readLabels(path: string, options: LabelOptions = {}): Promise<LabelMap> {
  const labels = await readAnnotation(path, options);
  const removed = options.minCellArea ? removeSmall(labels, options.minCellArea) : 0;
  return options.facts ? { ...labels, facts: labelFacts(labels, removed) } : labels;
}

async function readAnnotation(path: string, options: LabelOptions): Promise<LabelMap> {
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
      default: {
        // A foreground mask survives JPEG, since it is cut at half of its highest value.
        if (/\.jpe?g$/i.test(path) && !options.binaryMasks)
          throw unsupported(
            "JPEG is lossy and ruins label ids; save masks as PNG, TIFF or .npy (a foreground mask can be read with `binary_masks: true`)",
          );
        const raw = await readRaw(path, maskOptions(options), "labels");
        return oriented(toLabels(raw, options), raw.orientation, options.asStored);
      }
    }
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

/** The foreground of each file is one object; ids 1..N in the order of the names, later ones on top. */
async function readObjects(folder: string, options: LabelOptions): Promise<LabelMap> {
  const files = await objectFiles(folder);
  let size = options.size;
  const shapes = [];
  for (const [i, path] of files.entries()) {
    const { data, shape } = await named(path, async () => {
      return toObject(await readRaw(path, maskOptions(options), "labels"));
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
