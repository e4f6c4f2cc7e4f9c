// `cellsam worker` with short pauses: node queue-worker.mjs URL
import { serveQueue } from "../../dist/queue/serve.js";

const stop = new AbortController();
process.on("SIGTERM", () => stop.abort(new Error("enough")));
const timing = { poll: 200, beat: 5000, silence: 30_000, lock: 3000, stalled: 1000 };
const tell = (/** @type {string} */ message) => console.log(message);
await serveQueue(String(process.argv[2]), { signal: stop.signal, tell, timing }).catch((error) => {
  if (!stop.signal.aborted) throw error;
});
