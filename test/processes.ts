/** The processes that a process has started, by what Linux says of them. */
import { readdirSync, readFileSync } from "node:fs";
import { isRunning, markOf, type ProcessMark } from "../lib/pool/processMark.js";

/** Children, their children and so on. */
export function descendantsOf(pid: number): ProcessMark[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
  return children.flatMap((child) => [markOf(child), ...descendantsOf(child)]);
}

/** Those that have not ended. */
export function running(processes: readonly ProcessMark[]): number[] {
  return processes.filter((process) => isRunning(process)).map(({ pid }) => pid);
}
