/** Identifies processes, also where a later process has the same number, as after a restart of the machine. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** One process of one machine. */
export interface ProcessMark {
  pid: number;
  host: string;
  /** When it was started, in the units of the system; null where that cannot be read. */
  started: string | null;
}

/** The mark of a process of this machine. */
export function markOf(pid: number): ProcessMark {
  const mark = { pid, host: hostname() };
  try {
    // The second field, the name, may contain spaces and brackets; the start time is the 20th field after it.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(")").at(-1)?.trim().split(" ") ?? [];
    return { ...mark, started: fields[0] === "Z" ? null : (fields[19] ?? null) };
  } catch {
    return { ...mark, started: null };
  }
}

/** Whether the process runs; undefined for a process of another machine, which cannot be looked up from here. */
export function isRunning({ pid, host, started }: ProcessMark): boolean | undefined {
  if (host !== hostname()) return undefined;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return started === null || markOf(pid).started === started;
}
