/**
 * Trains in a worker thread and hears of it by messages: for programs that keep all heavy libraries out of their main thread.
 * (It need not be: training has threads of its own and never blocks the event loop it was started from.)
 *
 *   node main.mjs IMAGES MASKS
 */
import { Worker } from "node:worker_threads";

const [imgPath = "images", maskPath = "masks"] = process.argv.slice(2);
const worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData: { imgPath, maskPath } });
worker.on("message", (message) => console.log(JSON.stringify(message)));
worker.on("error", (error) => {
  console.error(error);
  process.exitCode = 1;
});
process.once("SIGINT", () => worker.postMessage("stop"));
