/** One file from disk to pixels: which reader, which rules, and errors that name the file. Runs in a decode worker. */
import { readFile, stat } from "node:fs/promises";
import { extname } from "node:path";
import { CellsamError } from "../errors.js";
import { readJpeg } from "./formats/jpeg.js";
import { unsupported } from "./formats/limits.js";
import { readNpy } from "./formats/npy.js";
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
import { toLabels } from "./labels.js";
import { toImage } from "./pixels.js";

/** Extensions that are read, lower case. */
export const EXTENSIONS = [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy"] as const;

/** The stored samples of a file, before any rule. */
export async function readRaw(path: string, options: DecodeOptions = {}): Promise<RawImage> {
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  const info = await stat(path);
  if (!info.isFile()) throw new CellsamError("ERR_FILE", "it is not a file");
  if (info.size === 0) throw new CellsamError("ERR_IMAGE_BROKEN", "it is empty (0 bytes)");
  // 16 bytes a pixel and some header are the most that a sound file of the allowed size can take.
  if (info.size > maxPixels * 16 + 2 ** 26)
    throw new CellsamError("ERR_IMAGE_TOO_LARGE", `it has ${info.size} bytes, more than max_pixels allows`);
  const bytes = await readFile(path);
  switch (extname(path).toLowerCase()) {
    case ".png":
      return readPng(bytes, maxPixels);
    case ".jpg":
    case ".jpeg":
      return readJpeg(bytes, maxPixels);
    case ".tif":
    case ".tiff":
      return readTiff(bytes, maxPixels, options.page);
    case ".npy":
      return readNpy(bytes, maxPixels);
    default:
      throw unsupported(`files of type ${extname(path)} are not read; use ${EXTENSIONS.join(", ")}`);
  }
}

export async function readImage(path: string, options: DecodeOptions = {}): Promise<NdImage> {
  return named(path, async () => toImage(await readRaw(path, options)));
}

export async function readLabels(path: string, options: LabelOptions = {}): Promise<LabelMap> {
  return named(path, async () => {
    if (/\.jpe?g$/i.test(path)) throw unsupported("JPEG is lossy and ruins label ids; save masks as PNG, TIFF or .npy");
    return toLabels(await readRaw(path, options), options.binaryMasks ?? false);
  });
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
