// Measures the delay of the event loop while `tiny` trains on all cores of the machine: node bench/event-loop-delay.mjs
// [seconds]. Prints one JSON line; delays in ms. Needs a built checkout (`npm run build`).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Random } from "../dist/data/random.js";
import { drawField } from "../dist/data/synthetic.js";
import { openSession } from "../dist/engine/session.js";
import { openStoreWriter } from "../dist/engine/storeWriter.js";

const seconds = Number(process.argv[2] ?? 20);
const folder = mkdtempSync(join(tmpdir(), "cellsam-bench-"));
const store = join(folder, "tiles.store");
const writer = await openStoreWriter({ path: store, tileSize: 128, normalize: false });
const random = new Random(1);
for (let i = 0; i < 16; i++) {
  const { pixels, labels } = drawField(random, 128);
  await writer.add({ image: { data: pixels, shape: [128, 128] }, labels: { data: labels, shape: [128, 128] }, source: `${i}` });
}
await writer.finish();
await writer.dispose();

const session = await openSession({ size: "tiny" });
const indices = Int32Array.from({ length: 16 * 1000 }, (_, i) => i % 16);
await session.beginStage({ stage: 1, epochs: 1, stepsPerEpoch: indices.length / 4 });

const delay = monitorEventLoopDelay({ resolution: 1 });
const end = new AbortController();
let events = 0;
delay.enable();
setTimeout(() => end.abort(), seconds * 1000);
const report = await session.trainEpoch({
  store,
  indices,
  epoch: 1,
  batchSize: 4,
  augment: true,
  signal: end.signal,
  onStep: () => events++,
});
delay.disable();
await session.dispose();
rmSync(folder, { recursive: true });

// The histogram holds the whole interval between two ticks of its 1 ms timer.
/** @param {number} nanoseconds */
const ms = (nanoseconds) => Math.round(nanoseconds / 1e4) / 100;
console.log(
  JSON.stringify({
    p50: ms(delay.percentile(50)),
    p99: ms(delay.percentile(99)),
    max: ms(delay.max),
    events,
    steps: report.step,
  }),
);
