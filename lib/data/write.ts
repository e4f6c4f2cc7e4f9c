/** Writes label maps and RGB images. */
import { basename, extname } from "node:path";
import type sharp from "sharp";
import { CellsamError } from "../errors.js";
import { writeAtomic } from "../files/writeAtomic.js";
import { lazily } from "../lazily.js";
import { type LabelArray, sizeOf } from "./writers/segmentation.js";

const imaging = lazily<typeof sharp>("sharp");
const fastPng = lazily<typeof import("fast-png")>("fast-png");

/**
 * Writes a label map [H,W]; the extension chooses the format: .png 16 bit; .tif or .tiff 16 bit, or 32 bit when an id passes
 * 65535; .npy int32.
 *
 * @throws CellsamError ERR_LABEL_VALUES for a PNG with an id past 65535, or negative ids; ERR_FILE when it cannot be written
 */
export async function writeLabels(path: string, labels: LabelArray): Promise<void> {
  const [height, width] = sizeOf(labels);
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

/** Writes an 8-bit RGB image, `data` [H,W,3]; compresses it on another thread, since pictures of whole slides take seconds. */
export async function writeRgbPng(path: string, data: Uint8Array, height: number, width: number): Promise<void> {
  const pixels = imaging()(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  await writeAtomic(path, await pixels.png().toBuffer());
}
