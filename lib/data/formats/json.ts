/** Parses annotation files of JSON. Nothing about their content is taken for granted. */
import { annotation } from "./limits.js";

export type Json = Record<string, unknown>;

/** @throws CellsamError ERR_ANNOTATION when it is not JSON of one object */
export function parseObject(bytes: Uint8Array, what: string): Json {
  let value: unknown;
  try {
    // TextDecoder removes the byte order mark, which is not JSON but is written by editors on Windows.
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

/** `value` if it is a list, else an empty list. */
export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
