/**
 * The last step of a write that must appear as a whole: the finished file or folder gets its name. On Windows that fails while
 * another process has the target open, as virus scanners and indexers do for a moment with what was just written.
 */
import { rename } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { syncFolder } from "./folders.js";

/** The codes by which Windows reports that a file is open elsewhere, and also that it is protected. */
const held = new Set(["EACCES", "EBUSY", "EPERM"]);
/** Pauses between tries in ms, two seconds in all. */
const pauses = [5, 10, 20, 40, 80, 150, 300, 600, 800];

/** Whether the error may mean that another process has the file open. */
export function isHeld(error: unknown): boolean {
  return held.has((error as NodeJS.ErrnoException).code ?? "");
}

/** Renames `from` to `to`, which may exist, for good: also after a power failure. The last argument replaces the system in tests. */
export async function replaceFile(
  from: string,
  to: string,
  {
    move = rename,
    platform = process.platform,
    pause = setTimeout,
  }: { move?: typeof rename; platform?: NodeJS.Platform; pause?: (milliseconds: number) => Promise<void> } = {},
): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await move(from, to);
      await syncFolder(dirname(to));
      return;
    } catch (error) {
      const wait = pauses[tries];
      if (platform !== "win32" || !isHeld(error) || wait === undefined) throw error;
      await pause(wait);
    }
  }
}
