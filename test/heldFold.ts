/** Folds that wait in their processes for the test, which so finds them where it wants them on a machine of any speed. */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export interface HeldFolds {
  env: { NODE_OPTIONS: string; CELLSAM_TEST_HELD_FOLD: string };
  release: () => void;
}

/**
 * The environment in which processes of these folds, when they have reported the first epoch of the stage, do nothing but the
 * training of this stage, until they are killed or released. `folder` is one of the test's own.
 */
export function heldFolds(folds: readonly number[], stage: 1 | 2, folder: string): HeldFolds {
  const until = join(folder, `released-${randomUUID()}`);
  const preloaded = pathToFileURL(join(import.meta.dirname, "heldFold.mjs")).href;
  return {
    env: { NODE_OPTIONS: `--import ${preloaded}`, CELLSAM_TEST_HELD_FOLD: JSON.stringify({ folds, stage, until }) },
    release: () => writeFileSync(until, ""),
  };
}
