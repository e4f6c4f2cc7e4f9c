/** Identifies processes, also where a later process has the same number, as after a restart of the machine. */
import { readFileSync } from "node:fs";

/** One process. */
export interface ProcessMark {
  pid: number;
  /** When it was started, in the units of the system; null where that cannot be read. */
  started: string | null;
}

export function markOf(pid: number): ProcessMark {
  try {
    // The second field, the name, may contain spaces and brackets; the start time is the 20th field after it.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(")").at(-1)?.trim().split(" ") ?? [];
    return { pid, started: fields[0] === "Z" ? null : (fields[19] ?? null) };
  } catch {
    return { pid, started: null };
  }
}

export function isRunning({ pid, started }: ProcessMark): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return started === null || markOf(pid).started === started;
}
