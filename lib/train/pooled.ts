/** Whether the folds of a run are trained in processes of their own. */
import { isElsewhere, type Slots } from "../config/pool.js";
import { CellsamError } from "../errors.js";

/** Whether devices or machines are chosen for the folds, beside what the configuration says. */
export function isPlaced(slots: Slots): boolean {
  return slots.devices.length > 0 || isElsewhere(slots);
}

/** One fold alone is trained in a process of its own where it is placed; several also where some are trained at a time. */
export function isPooled(slots: Slots, folds: number): boolean {
  return isPlaced(slots) || (slots.maxParallel > 1 && folds > 1);
}

/** @throws CellsamError ERR_INVALID_ARGUMENT for options that other processes cannot be given */
export function checkPooled(slots: Slots, options: object): void {
  if (!isPlaced(slots) && slots.maxParallel === 1) return;
  const here = ["lossWeights", "openSession"].filter((name) => (options as Record<string, unknown>)[name] !== undefined);
  if (here.length === 0) return;
  const message = `${here.join(", ")} cannot be used with maxParallel, devices, launcher or queue: other processes cannot call functions of this one`;
  throw new CellsamError("ERR_INVALID_ARGUMENT", message);
}
