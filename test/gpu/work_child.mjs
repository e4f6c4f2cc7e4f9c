// Something to count on the pretend device: node work_child.mjs '{"store": FOLDER, "stage": 1, ...}' trains three epochs of three
// steps; '{"image": FILE}' predicts the image twice, each time a span of the report.
import { resetDevicePeak } from "../../dist/engine/native.js";
import { openSession } from "../../dist/engine/session.js";
import { CellsamError } from "../../dist/errors.js";
import { openPredictor } from "../../dist/predict/predictor.js";

/**
 * @typedef {object} Work
 * @property {string} [image]
 * @property {string} [store] of at least five tiles
 * @property {1 | 2} [stage]
 * @property {import("../../dist/engine/session.js").Device} [device]
 * @property {"fp32" | "bf16"} [precision]
 * @property {boolean} [deterministic]
 * @property {number} [threads] default 1
 * @property {Record<string, unknown>} [options] of the stage
 */

/** @type {Work} */
const work = JSON.parse(process.argv[2] ?? "{}");
const { device = "cuda", precision = "fp32", deterministic = false, threads = 1 } = work;
try {
  if (work.image) await predict(work.image);
  else await train(work);
} catch (error) {
  if (!(error instanceof CellsamError)) throw error;
  console.log(JSON.stringify({ error: error.code, message: error.message }));
}

/** @param {string} path */
async function predict(path) {
  const predictor = await openPredictor({ weights: "cellsam-tiny", device, precision, threads });
  const image = await predictor.read(path);
  resetDevicePeak(device);
  for (let i = 0; i < 2; ++i) {
    const { count } = await predictor.predict(image);
    resetDevicePeak(device);
    console.log(JSON.stringify({ cells: count }));
  }
  await predictor.dispose();
}

/** @param {Work} work */
async function train({ store = "", stage = 1, options = {} }) {
  /** @type {string[]} */
  const notices = [];
  const session = await openSession({ size: "tiny", threads, seed: 1, device, precision, deterministic });
  await session.beginStage({ stage, epochs: 3, stepsPerEpoch: 3, ...(stage === 2 && { cudaGraphs: "off" }), ...options });
  const range = { store, indices: Int32Array.of(0, 1, 2, 3, 4), batchSize: 2, augment: false };
  for (const epoch of [0, 1, 2]) {
    const { losses, graphs, features } = await session.trainEpoch({
      ...range,
      epoch,
      onNotice: ({ message }) => notices.push(message),
    });
    console.log(JSON.stringify({ loss: losses.total_loss, graphs, features, notices }));
  }
  await session.dispose();
}
