/**
 * The last step of every write that must appear whole: the finished file, or folder, takes its name. On Windows that fails while anybody
 * has the target open, and virus scanners and indexers open what was just written; they let go soon.
 */
import { rename } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

/** How Windows says that somebody has a file open, and also that a file is protected. */
const held = new Set(["EACCES", "EBUSY", "EPERM"]);
/** Pauses between tries, in ms: two seconds in all. */
const pauses = [5, 10, 20, 40, 80, 150, 300, 600, 800];

export function isHeld(error: unknown): boolean {
  return held.has((error as NodeJS.ErrnoException).code ?? "");
}

/** Renames `from` to `to`, which may exist. The last argument stands in for the system in tests. */
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
      return;
    } catch (error) {
      const wait = pauses[tries];
      if (platform !== "win32" || !isHeld(error) || wait === undefined) throw error;
      await pause(wait);
    }
  }
}
