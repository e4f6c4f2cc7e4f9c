/**
 * Errors that occur while one of many images is processed: they must name it, and must not be mistaken for an image without
 * cells.
 */
import type { Pair } from "../data/discover.js";
import { CellsamError } from "../errors.js";

/** The same error with the name of the image in front and its path in the detail. */
export function ofImage({ source, image }: Pick<Pair, "source" | "image">, cause: unknown): CellsamError {
  const known = cause instanceof CellsamError;
  const message = cause instanceof Error ? cause.message : String(cause);
  const text = message.startsWith(`${source}:`) ? message : `${source}: ${message}`;
  return new CellsamError(known ? cause.code : "ERR_INTERNAL", text, {
    detail: { ...(known ? cause.detail : {}), image },
    cause,
  });
}
