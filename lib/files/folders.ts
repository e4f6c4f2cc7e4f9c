/** Folders whose names survive a power failure: a name is on the disk when the folder that it is in was flushed. */
import { mkdir, open } from "node:fs/promises";
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

/** Makes a folder and those that it is in, where they are missing. Returns the first one that was made. */
export async function makeFolder(folder: string): Promise<string | undefined> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return undefined;
  for (let made = resolve(folder); ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === resolve(first)) return first;
  }
}
