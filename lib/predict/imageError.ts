/** A fault while one of many images is worked on. It must say which one, and must never pass for an image without cells. */
import type { Pair } from "../data/discover.js";
import { CellsamError } from "../errors.js";

/** The same error with the image's name in front and its path in the detail. */
export function ofImage({ stem, image }: Pick<Pair, "stem" | "image">, cause: unknown): CellsamError {
  const known = cause instanceof CellsamError;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new CellsamError(known ? cause.code : "ERR_INTERNAL", `${stem}: ${message}`, {
    detail: { ...(known ? cause.detail : {}), image },
    cause,
  });
}
