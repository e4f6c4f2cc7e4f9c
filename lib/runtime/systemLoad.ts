/** The processors: which they are, and how busy. */
import { availableParallelism, cpus, loadavg } from "node:os";

/** The model of the processors, as the system names it. */
export function processorName(): string {
  return cpus()[0]?.model.trim() ?? "unknown";
}

/**
 * Share of the processors that programs used in the minute before, 1 for all; null where the system does not report it.
 */
export function busyShare(): number | null {
  return process.platform === "win32" ? null : (loadavg()[0] as number) / availableParallelism();
}
