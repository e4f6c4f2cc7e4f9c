/** Strict JSON: without NaN and Infinity, and on disk never half a file; on request with a checksum of its content. */
import { readFile } from "node:fs/promises";
import { CellsamError } from "../errors.js";
import { textHash } from "./fileHash.js";
import { writeAtomic } from "./writeAtomic.js";

/** JSON text in which NaN and Infinity, which JSON does not have, are null. */
export function strictJson(value: unknown, indent = 2): string {
  const finite = (_key: string, entry: unknown) => (typeof entry === "number" && !Number.isFinite(entry) ? null : entry);
  return JSON.stringify(value, finite, indent);
}

export function writeJson(path: string, value: unknown): Promise<void> {
  return writeAtomic(path, `${strictJson(value)}\n`);
}

/** @throws CellsamError ERR_FILE when it is no JSON; an error of the system */
export async function readJson<T = unknown>(path: string): Promise<T> {
  const text = await readFile(path, "utf8");
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    const message = `${path} is damaged: it is no JSON (${(cause as Error).message})`;
    throw new CellsamError("ERR_FILE", message, { cause, detail: { path } });
  }
}

/** Writes an object and, as its key `sha256`, the hash of everything else, by which `readChecked` notices any change. */
export function writeChecked(path: string, value: object): Promise<void> {
  return writeJson(path, { ...value, sha256: hashOf(value) });
}

/** Reads what `writeChecked` wrote. @throws CellsamError ERR_FILE when the content is not what was written */
export async function readChecked<T extends object>(path: string): Promise<T> {
  const { sha256, ...value } = await readJson<T & { sha256?: string }>(path);
  if (sha256 === hashOf(value)) return value as unknown as T;
  const message = `${path} was changed or damaged: its checksum does not fit its content`;
  throw new CellsamError("ERR_FILE", message, { detail: { path } });
}

const hashOf = (value: object) => textHash(strictJson(value, 0));
