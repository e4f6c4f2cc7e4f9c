/** How the cores of a machine are divided between the tasks of a pool. */
import { availableParallelism } from "node:os";
import { isElsewhere, type Slots } from "../config/pool.js";

/** Compute threads of each task where the configuration does not say. 0: all cores of the machine that does it. */
export function threadShare(slots: Slots): number {
  const { maxParallel } = slots;
  if (maxParallel === 1 || isElsewhere(slots)) return 0;
  return Math.max(1, Math.floor(availableParallelism() / maxParallel));
}
