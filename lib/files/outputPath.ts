/** Checks of folders and files that will be written: before any work, so that hours of it are not lost at the first write. */
import { lstat, open, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { CellsamError } from "../errors.js";
import { makeFolder } from "./folders.js";
import { sweepTemporaries } from "./temporaries.js";

/** The file that is written to try. Always the same, so that what a killed process leaves is removed by the next try of its user. */
const trial = `.cellsam-write-test-${process.getuid?.() ?? "user"}.tmp`;

/** What the system's codes mean for a folder. */
const meanings: Record<string, string> = {
  EEXIST: "a file has this name",
  ENOTDIR: "a part of the path is a file",
  EISDIR: "it is a folder",
  ENOENT: "there is no such folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENAMETOOLONG: "the name is too long",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EINVAL: "the system does not allow this name",
};

function reasonOf(cause: Error): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return code ? `${code}: ${meanings[code] ?? message}` : message;
}

/** The error for an output folder that cannot be made, or not be written to. `setting` is what names it. */
export function unusableFolder(setting: string, folder: string, cause: Error): CellsamError {
  const path = resolve(folder);
  const message = `${setting}: ${path} is no folder that can be written to (${reasonOf(cause)}); choose another`;
  return new CellsamError("ERR_CONFIG", message, { cause, detail: { setting, path } });
}

/** The error for an output file that cannot be written. */
export function unusableFile(setting: string, file: string, cause: Error): CellsamError {
  const path = resolve(file);
  const message = `${setting}: ${path} cannot be written (${reasonOf(cause)}); choose another`;
  return new CellsamError("ERR_CONFIG", message, { cause, detail: { setting, path } });
}

/**
 * Makes the folder, writes a file in it, and removes both again: permissions alone do not tell whether that is possible. What
 * killed processes left half written in it is removed after a day.
 * @throws CellsamError ERR_CONFIG that names `setting`, the folder and the reason
 */
export async function checkOutputFolder(setting: string, folder: string): Promise<void> {
  await tryFolder(folder).catch((cause: Error) => {
    throw unusableFolder(setting, folder, cause);
  });
}

/** The same for a file, in a folder that is made when needed. The file may exist, but not as a folder. */
export async function checkOutputFile(setting: string, file: string): Promise<void> {
  const isFile = async () => {
    const known = await lstat(file).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw cause;
    });
    if (known?.isDirectory()) throw failure("EISDIR");
  };
  await tryFolder(dirname(file), isFile).catch((error: NodeJS.ErrnoException) => {
    throw unusableFile(setting, file, error.code === "EEXIST" ? failure("ENOTDIR") : error);
  });
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}

/** Another process that makes the same check may remove the folder in between, so a folder that is gone is made again. */
async function tryFolder(folder: string, also = async () => {}, tries = 3): Promise<void> {
  try {
    await tryOnce(folder, also);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || tries === 1) throw error;
    await tryFolder(folder, also, tries - 1);
  }
}

/** `also` is a further check while the folder is there. */
async function tryOnce(folder: string, also: () => Promise<void>): Promise<void> {
  const made = await makeFolder(folder);
  try {
    await also();
    const path = join(folder, trial);
    await (await open(path, "a")).close();
    await rm(path, { force: true });
    await sweepTemporaries(folder);
  } finally {
    // Only what is empty: another process may write there by now.
    for (const path of made.toReversed()) await rmdir(path).catch(() => undefined);
  }
}
