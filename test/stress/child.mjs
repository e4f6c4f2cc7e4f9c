// One way of ending while a job runs, in a process of its own: node child.mjs MODE. Prints "running" once the job has made its
// first step. The job is a fake epoch; with CELLSAM_STRESS_TRAIN (JSON: {open, commands, train}) it is a real one.
import { parentPort, Worker, workerData } from "node:worker_threads";
import { engineCall, engineCallAsync, openNative } from "../../dist/engine/native.js";

/** @type {import("./training.js").RealTraining | null} */
const real = process.env.CELLSAM_STRESS_TRAIN ? JSON.parse(process.env.CELLSAM_STRESS_TRAIN) : null;

/**
 * The four tiles of the store, over and over.
 * @param {import("./training.js").RealTraining["train"]} train
 */
function realEpoch({ steps, ...train }) {
  return { ...train, indices: Int32Array.from({ length: steps }, (_, i) => i % 4) };
}

/** `stepMs`: how long a step of the fake epoch takes. */
async function start(stepMs = 2) {
  const session = await openNative(real?.open ?? { kind: "model" });
  for (const [command, args] of real?.commands ?? []) await session.call(command, args).promise;
  const train = real ? realEpoch(real.train) : { steps: 100000, step_ms: stepMs };
  let heard;
  /** @type {Promise<void>} */
  const first = new Promise((resolve) => {
    heard = () => resolve();
  });
  const job = session.call("train_epoch", train, heard);
  session.call("validate", { ms: 1000 }).promise.catch(() => {});
  job.promise.catch((error) => {
    console.error(error);
  });
  if (!real) engineCallAsync("burn", { ms: 200 }).catch(() => {});
  await first;
  return session;
}

if (parentPort) {
  await start();
  if (workerData === "worker-throw") {
    parentPort.postMessage("running");
    setImmediate(() => {
      throw new Error("thrown in the worker");
    });
  } else if (workerData === "worker-exit") {
    parentPort.postMessage("running");
    setImmediate(() => process.exit(0));
  } else {
    parentPort.postMessage("running");
  }
} else {
  const mode = process.argv[2] ?? "";
  if (mode.startsWith("worker")) {
    const workers = [1, 2].map(() => new Worker(new URL(import.meta.url), { workerData: mode }));
    for (const worker of workers) worker.on("error", () => {});
    const exits = workers.map((worker) => new Promise((resolve) => worker.on("exit", resolve)));
    // Not events.once: a worker's error may overtake the message that it sent before, and would reject it.
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
    console.log("running");
    if (mode === "worker-terminate") for (const worker of workers) void worker.terminate();
    await Promise.all(exits);
    console.log("clean");
  } else {
    const session = await start(mode === "held-up" ? 0 : 2);
    if (mode === "held-up") engineCall("await_steps", { steps: 10_000 }); // no event can be heard, so the job waits
    console.log("running");
    if (mode === "held-up") process.exit(0);
    if (mode === "exit") process.exit(0);
    if (mode === "throw")
      setImmediate(() => {
        throw new Error("thrown on purpose");
      });
    if (mode === "dispose") {
      await session.dispose();
      console.log("clean");
    }
  }
}
