/** Annotation files of JSON: parsed with errors that say so, and looked into without trust. */
import { annotation } from "./limits.js";

export type Json = Record<string, unknown>;

/** @throws CellsamError ERR_ANNOTATION when it is not JSON of one object */
export function parseObject(bytes: Uint8Array, what: string): Json {
  let value: unknown;
  try {
    // A byte order mark is no JSON, but editors of Windows put it there.
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw annotation(`it is not ${what}: the JSON cannot be parsed (${(error as Error).message})`);
  }
  if (!isObject(value)) throw annotation(`it is not ${what}: it holds no object`);
  return value;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A list, or nothing where there is none. */
export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
