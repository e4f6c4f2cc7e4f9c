/** Strict JSON: without NaN and Infinity, and on disk never half a file. */
import { readFile } from "node:fs/promises";
import { writeAtomic } from "./writeAtomic.js";

/** JSON text in which NaN and Infinity, which JSON does not have, are null. */
export function strictJson(value: unknown, indent = 2): string {
  const finite = (_key: string, entry: unknown) => (typeof entry === "number" && !Number.isFinite(entry) ? null : entry);
  return JSON.stringify(value, finite, indent);
}

export function writeJson(path: string, value: unknown): Promise<void> {
  return writeAtomic(path, `${strictJson(value)}\n`);
}

export async function readJson<T = unknown>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, "utf8")) as T;
}
