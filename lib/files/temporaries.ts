/** Temporary files that killed processes leave behind: of writeAtomic, of weights, and of the engine's own writes. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

const temporary = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$|\.[0-9a-f]{16}\.tmp$|\.pth\.tmp$/;

const day = 24 * 3600_000;

/**
 * Removes the temporary files in a folder that nothing has written to for `idleMs` (default: a day), which must be 0 only where
 * no other process can be writing; `subfolders`: also in those. A folder or file that cannot be read or removed is left alone.
 */
export async function sweepTemporaries(folder: string, { idleMs = day, subfolders = false } = {}): Promise<void> {
  const entries = await readdir(folder, { recursive: subfolders, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile() || !temporary.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - mtimeMs >= idleMs) await rm(path, { force: true }).catch(() => undefined);
  }
}
