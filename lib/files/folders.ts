/** Folders whose names survive a power failure: a name is on the disk when the folder that it is in was flushed. */
import { mkdir, open, rmdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Flushes the names in a folder to the disk. No error where that is not possible: on Windows and some network file systems. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EIO") throw error;
  }
}

/**
 * Makes a folder and those that it is in, and returns what was not there before, the outermost first. Not by Node's own recursive
 * mkdir, which never ends in /proc and reports a full disk as a missing folder.
 * @throws an error of the system, after which nothing is left
 */
export async function makeFolder(folder: string): Promise<string[]> {
  const known = await stat(folder).catch((cause: NodeJS.ErrnoException) => cause);
  if (!(known instanceof Error)) {
    if (known.isDirectory()) return [];
    throw Object.assign(new Error(`EEXIST: ${folder} is a file`), { code: "EEXIST" });
  }
  const path = resolve(folder);
  if (known.code !== "ENOENT" || dirname(path) === path) throw known;
  const made = await makeFolder(dirname(path));
  try {
    await mkdir(path);
    await syncFolder(dirname(path));
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((await stat(path).catch(() => undefined))?.isDirectory()) return made;
    for (const above of made.toReversed()) await rmdir(above).catch(() => undefined);
    throw error;
  }
  return [...made, path];
}
