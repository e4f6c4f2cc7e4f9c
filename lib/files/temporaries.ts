/** Temporary files that killed processes leave behind: of writeAtomic, of weights, and of the engine's own writes. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

const temporary = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$|\.[0-9a-f]{16}\.tmp$|\.pth\.tmp$/;

/**
 * Removes the temporary files in a folder and its subfolders that nothing has written to for `idleMs`, which must be 0 only
 * where no other process can be writing. A folder or file that cannot be read or removed is left alone.
 */
export async function sweepTemporaries(folder: string, idleMs: number): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile() || !temporary.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - mtimeMs >= idleMs) await rm(path, { force: true }).catch(() => undefined);
  }
}
