/** How the cores of a machine are divided between the tasks of a pool. */
import { availableParallelism } from "node:os";
import type { Slots } from "../config/pool.js";

/** Compute threads of each task where the configuration does not say. 0: all cores of the machine that a launcher takes. */
export function threadShare({ maxParallel, launcher }: Slots): number {
  if (maxParallel === 1 || launcher.length > 0) return 0;
  return Math.max(1, Math.floor(availableParallelism() / maxParallel));
}
