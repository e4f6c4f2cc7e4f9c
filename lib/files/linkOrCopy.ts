/** A second name for a file, or a copy of it. */
import { copyFile, link, open } from "node:fs/promises";

/** A hard link costs no space; file systems without them get a copy, flushed to the disk. @throws an error of the system */
export function linkOrCopy(from: string, to: string): Promise<void> {
  return link(from, to).catch(() => flushedCopy(from, to));
}

async function flushedCopy(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const file = await open(to, "r+");
  await file.sync().finally(() => file.close());
}
