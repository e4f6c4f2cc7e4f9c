/** Refuses options that a function does not know: in JavaScript a mistyped one would have no effect, and nobody would notice. */
import { CellsamError } from "./errors.js";
import { nearest } from "./nearest.js";

/** The names of all keys of a type of options; the compiler refuses a list that lacks one. */
export function keysOf<Options>(keys: Record<keyof Required<Options>, true>): readonly string[] {
  return Object.keys(keys);
}

/**
 * @param call name of the function, for the message
 * @throws CellsamError ERR_INVALID_ARGUMENT that names every key that is none of `known`, with the nearest that is
 */
export function checkKeys(call: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new CellsamError("ERR_INVALID_ARGUMENT", `${call}: options must be given as an object`);
  }
  const unknown = Object.keys(options).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  const sentences = unknown.map((key) => {
    const meant = nearest(key, known);
    return `unknown option ${key}${meant ? `; did you mean ${meant}?` : `; known are ${known.join(", ")}`}`;
  });
  throw new CellsamError("ERR_INVALID_ARGUMENT", `${call}: ${sentences.join("\n  ")}`, { detail: { unknown } });
}
