/** How busy the processors are. */
import { availableParallelism, loadavg } from "node:os";

/**
 * Share of the processors that programs used in the minute before, 1 for all; null where the system does not report it.
 */
export function busyShare(): number | null {
  return process.platform === "win32" ? null : (loadavg()[0] as number) / availableParallelism();
}
