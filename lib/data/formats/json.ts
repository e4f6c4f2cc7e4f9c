/** Parses annotation files of JSON. Nothing about their content is taken for granted. */
import { annotation } from "./limits.js";

export type Json = Record<string, unknown>;

/** @throws CellsamError ERR_ANNOTATION when it is not JSON */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    // TextDecoder removes the byte order mark, which is not JSON but is written by editors on Windows.
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw annotation(`it is not ${what}: the JSON cannot be parsed (${(error as Error).message})`);
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `value` if it is a list, else an empty list. */
export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A finite number, also one that is written as text; `text.found` is then set. */
export function numberOf(value: unknown, text: { found: boolean }): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "string" || !/^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(value)) return undefined;
  text.found = true;
  return Number(value);
}
