// Three steps of stage 1 on the GPU, told as JSON: node row_column_child.mjs STORE PRECISION DEVICE.
import { openSession } from "../../dist/engine/session.js";

const [store = "", precision, device] = process.argv.slice(2);
const session = await openSession({
  size: "tiny",
  threads: 1,
  seed: 1,
  device: /** @type {import("../../dist/engine/session.js").Device} */ (device),
  precision: precision === "bf16" ? "bf16" : "fp32",
});
await session.beginStage({ stage: 1, epochs: 1, stepsPerEpoch: 3, optimizer: "sgd", learningRate: 0.01 });
/** @type {import("../../dist/events.js").StepEvent[]} */
const steps = [];
const range = { store, indices: Int32Array.of(0, 1, 2), epoch: 0, batchSize: 1, augment: false };
await session.trainEpoch({ ...range, onStep: (step) => steps.push(step) });
await session.dispose();
console.log(JSON.stringify({ losses: steps.map((s) => s.losses), norms: steps.map((s) => s.gradNorm) }));
