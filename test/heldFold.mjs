// Preloaded into the process of a fold: see heldFold.ts.
import { existsSync } from "node:fs";

const { folds, stage, until } = JSON.parse(String(process.env.CELLSAM_TEST_HELD_FOLD));
const write = process.stdout.write.bind(process.stdout);
const pause = new Int32Array(new SharedArrayBuffer(4));

/** @param {string} line */
function isFirstEpoch(line) {
  if (!line.startsWith('{"type":"report"')) return false;
  const { report: event } = JSON.parse(line);
  return event.type === "epoch" && folds.includes(event.fold) && event.stage === stage && event.epoch === 1;
}

process.stdout.write = (/** @type {string} */ line, /** @type {any[]} */ ...more) => {
  const written = write(line, ...more);
  if (isFirstEpoch(line)) while (!existsSync(until)) Atomics.wait(pause, 0, 0, 50);
  return written;
};
