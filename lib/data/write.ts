/** Label maps and pictures to disk. Every file appears whole or not at all: it is written beside its place and then renamed. */
import { mkdir, open, rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";
import { replaceFile } from "../replaceFile.js";

const crypto = lazily<typeof import("node:crypto")>("node:crypto");
const fastPng = lazily<typeof import("fast-png")>("fast-png");

/** What `writeLabels` writes. */
export const labelFormats = ["tiff", "png", "npy"] as const;
export type LabelFormat = (typeof labelFormats)[number];

/** Writes a file atomically, making its folder when needed. */
export async function writeAtomic(path: string, bytes: Uint8Array | string): Promise<void> {
  // A short name of its own: the target's name may already be at the limit of 255 bytes.
  const temporary = join(dirname(path), `.${crypto().randomUUID()}.tmp`);
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await replaceFile(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new CellsamError("ERR_FILE", `${path} could not be written (${(error as Error).message})`, {
      detail: { path },
      cause: error,
    });
  }
}

/**
 * Writes a label map [H,W]; the extension chooses the format: .png 16 bit; .tif or .tiff 16 bit, or 32 bit when an id passes 65535; .npy int32.
 *
 * @throws CellsamError ERR_LABEL_VALUES for a PNG with an id past 65535, or negative ids; ERR_FILE when it cannot be written
 */
export async function writeLabels(path: string, labels: { data: Int32Array; shape: readonly [number, number] }): Promise<void> {
  const [height, width] = labels.shape;
  if (labels.data.length !== height * width) {
    throw new CellsamError("ERR_LABEL_VALUES", `${labels.data.length} labels do not fill ${height} x ${width} pixels`);
  }
  let highest = 0;
  for (const id of labels.data) {
    if (id < 0) throw new CellsamError("ERR_LABEL_VALUES", `a label map cannot hold the negative id ${id}`);
    if (id > highest) highest = id;
  }
  switch (extname(path).toLowerCase()) {
    case ".png":
      if (highest > 65535) {
        throw new CellsamError(
          "ERR_LABEL_VALUES",
          `${basename(path)} has ids up to ${highest}, a PNG holds 65535: write a .tif (32 bit) or .npy instead`,
        );
      }
      return writeAtomic(
        path,
        fastPng().encode({ width, height, channels: 1, depth: 16, data: Uint16Array.from(labels.data) }),
      );
    case ".tif":
    case ".tiff": {
      const { encodeTiff } = await import("./formats/tiffWriter.js");
      return writeAtomic(
        path,
        encodeTiff(highest > 65535 ? Uint32Array.from(labels.data) : Uint16Array.from(labels.data), height, width),
      );
    }
    case ".npy": {
      const { encodeNpy } = await import("./formats/npy.js");
      return writeAtomic(path, encodeNpy(labels.data, [height, width]));
    }
    default:
      throw new CellsamError(
        "ERR_FILE",
        `label maps are written as .png, .tif, .tiff or .npy, not ${extname(path) || basename(path)}`,
      );
  }
}

/** Writes an 8-bit RGB picture, `data` [H,W,3]. */
export async function writeRgbPng(path: string, data: Uint8Array, height: number, width: number): Promise<void> {
  await writeAtomic(path, fastPng().encode({ width, height, channels: 3, depth: 8, data }));
}
