/** Reads the bytes of one file, and names the file in errors. */
import { readFileSync, statSync } from "node:fs";
import { CellsamError } from "../errors.js";
import { broken } from "./formats/limits.js";

/**
 * Reads synchronously: a decode thread has nothing else to do, and an asynchronous read costs half as much time as decoding a
 * small file.
 */
export function bytesOf(path: string, maxPixels: number): Buffer {
  const info = statSync(path);
  if (!info.isFile()) throw new CellsamError("ERR_FILE", "it is not a file");
  if (info.size === 0) throw broken("it is empty (0 bytes)");
  // A valid file of the allowed size has at most 16 bytes a pixel and a header.
  if (info.size > maxPixels * 16 + 2 ** 26)
    throw new CellsamError("ERR_IMAGE_TOO_LARGE", `it has ${info.size} bytes, more than max_pixels allows`);
  return readFileSync(path);
}

const SYSTEM: Record<string, string> = {
  ENOENT: "it does not exist (or is a link to nothing)",
  EACCES: "it may not be read (permissions)",
  EPERM: "it may not be read (permissions)",
  ELOOP: "it is a link that leads back to itself",
  EISDIR: "it is a folder",
};

/** Runs `work` and puts the file's path in front of its errors. */
export async function named<T>(path: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (error instanceof CellsamError) {
      const detail = { ...error.detail, path, reason: message };
      throw new CellsamError(error.code, `${path}: ${message}`, { detail, cause: error.cause });
    }
    const reason = SYSTEM[code] ?? message;
    throw new CellsamError(code in SYSTEM ? "ERR_FILE" : "ERR_IMAGE_BROKEN", `${path}: ${reason}`, {
      detail: { path, reason },
      cause: error,
    });
  }
}
