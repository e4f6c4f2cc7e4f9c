/** Reads an image file, for programs that segment images themselves. */
import { checkKeys, keysOf } from "../optionKeys.js";
import { decodeImage } from "./decode.js";
import type { NdImage, ReadImageOptions } from "./image.js";

const optionKeys = keysOf<ReadImageOptions>({
  maxPixels: true,
  page: true,
  channels: true,
  slice: true,
  frame: true,
  asStored: true,
  keepColours: true,
});

/**
 * Reads an image of any format that the package reads (docs/formats.md), on a thread of its own: pixels [H,W] or [H,W,3], unscaled,
 * without alpha, as predict takes them.
 * @throws CellsamError ERR_FILE, ERR_IMAGE_BROKEN, ERR_IMAGE_UNSUPPORTED, ERR_IMAGE_TOO_LARGE or ERR_IMAGE_VALUES, with the path
 * in front; ERR_INVALID_ARGUMENT for unknown options
 */
export async function readImage(path: string, options: ReadImageOptions = {}): Promise<NdImage> {
  checkKeys("readImage", options, optionKeys);
  return decodeImage(path, options);
}
