// An epoch of the fake engine whose listener throws at every other step, told as JSON: what was heard, and what was thrown.
import { openSession } from "../../dist/engine/session.js";

/** @type {number[]} */
const heard = [];
/** @type {string[]} */
const thrown = [];
process.on("uncaughtException", (error) => thrown.push(error.message));
const session = await openSession({ size: "tiny" });
const range = { store: "s", indices: Int32Array.of(1), epoch: 1, batchSize: 1, augment: false, steps: 5, step_ms: 0 };
await session.trainEpoch({
  ...range,
  onStep: ({ step }) => {
    heard.push(step);
    if (step % 2 === 0) throw new Error(`at step ${step}`);
  },
});
await session.dispose();
console.log(JSON.stringify({ heard, thrown }));
