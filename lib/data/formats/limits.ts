/** Errors that all format readers throw, and the limit on the size of an image. */
import { CellsamError } from "../../errors.js";

/** Error for a file that cannot be decoded. `what` describes the fault; the caller adds the path. */
export function broken(what: string, cause?: unknown): CellsamError {
  return new CellsamError("ERR_IMAGE_BROKEN", what, { cause });
}

/** Error for a valid file of a kind that is not read. */
export function unsupported(what: string): CellsamError {
  return new CellsamError("ERR_IMAGE_UNSUPPORTED", what);
}

/** Error for an annotation that cannot be interpreted. */
export function annotation(what: string): CellsamError {
  return new CellsamError("ERR_ANNOTATION", what);
}

/**
 * Throws when [height, width] is empty or exceeds `maxPixels`. To be called with the declared size, before anything is
 * allocated.
 */
export function checkSize(height: number, width: number, maxPixels: number): void {
  if (!(height >= 1 && width >= 1)) throw broken(`the declared size ${height} x ${width} is empty`);
  if (height * width > maxPixels) {
    throw new CellsamError(
      "ERR_IMAGE_TOO_LARGE",
      `${height} x ${width} pixels exceed the limit of ${maxPixels}; cut the image into fields, or raise max_pixels`,
    );
  }
}
