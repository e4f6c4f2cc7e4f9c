/** Refusals that every reader shares: pictures that are larger than allowed, or that declare more pixels than their bytes can hold. */
import { CellsamError } from "../../errors.js";

/** A file that cannot be decoded. `what` says what is wrong with it, not which file: the caller adds the path. */
export function broken(what: string, cause?: unknown): CellsamError {
  return new CellsamError("ERR_IMAGE_BROKEN", what, { cause });
}

/** A sound file of a kind that is not read. */
export function unsupported(what: string): CellsamError {
  return new CellsamError("ERR_IMAGE_UNSUPPORTED", what);
}

/** An annotation that cannot be understood. */
export function annotation(what: string): CellsamError {
  return new CellsamError("ERR_ANNOTATION", what);
}

/** Throws when [height, width] is empty or passes `maxPixels`. Call it on the declared size, before anything is allocated. */
export function checkSize(height: number, width: number, maxPixels: number): void {
  if (!(height >= 1 && width >= 1)) throw broken(`the declared size ${height} x ${width} is empty`);
  if (height * width > maxPixels) {
    throw new CellsamError(
      "ERR_IMAGE_TOO_LARGE",
      `${height} x ${width} pixels pass the limit of ${maxPixels}; cut the image into fields, or raise max_pixels`,
    );
  }
}
