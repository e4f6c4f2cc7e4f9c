// Images per second of predict() with cellsam-tiny, beside the network alone of a U-Net in the manner of StarDist in plain
// PyTorch (peer/stardist_network.py), which is what it takes at least to find the same nuclei with one:
//
//   node bench/prediction.mjs IMAGES [--threads 1] [--pairs 5] [--python PYTHON] [--set tile_overlap=0.25]...
//
// Both take turns on the images of a folder, which are in memory. The product normalises, cuts tiles, finds boxes and masks, and
// joins tiles. Prints a line of JSON for each pair, then one with medians: with one thread of CPU seconds, which other programs
// disturb little, with more of seconds on the clock. `--set` gives a setting of `inference`.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { decodeImage } from "../dist/data/decode.js";
import { openPredictor } from "../dist/index.js";
import { inOrder } from "../dist/inOrder.js";
import { camelCase } from "../dist/spelling.js";
import { root } from "../scripts/ready.mjs";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "1" },
    pairs: { type: "string", default: "5" },
    python: { type: "string", default: process.env.CELLSAM_PYTHON ?? join(root, "build", "bench", "python", "bin", "python") },
    set: { type: "string", multiple: true, default: [] },
  },
});
const [folder] = positionals;
const threads = Number(flags.threads);
if (!folder || !(threads >= 1 && threads <= availableParallelism())) {
  console.error("which folder of images? node bench/prediction.mjs IMAGES [--threads N, at most the cores of this machine]");
  process.exit(2);
}
const images = await Promise.all(readdirSync(folder).map((name) => decodeImage(join(folder, name))));
const inference = Object.fromEntries(
  flags.set.map((text) => text.split("=")).map(([key = "", value]) => [camelCase(key), Number(value)]),
);
const predictor = await openPredictor({ weights: "cellsam-tiny", device: "cpu", threads, inference });

/** CPU seconds with one thread, seconds on the clock with more. */
async function product() {
  const [cpu, wall] = [process.cpuUsage(), performance.now()];
  const work = (/** @type {typeof images[number]} */ image) => predictor.predict(image);
  const left = () => new Error("stopped");
  for await (const _ of inOrder(images, { atOnce: predictor.concurrency, work, left }));
  const { user, system } = process.cpuUsage(cpu);
  return threads === 1 ? (user + system) / 1e6 : (performance.now() - wall) / 1e3;
}

function peer() {
  const sizes = JSON.stringify(images.map(({ shape: [height, width] }) => [height, width]));
  const script = join(import.meta.dirname, "peer", "stardist_network.py");
  const { stdout, stderr, status } = spawnSync(flags.python, [script, sizes, "--threads", flags.threads], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the peer failed: ${stderr}`);
  const { cpu, wall } = JSON.parse(stdout);
  return threads === 1 ? cpu : wall;
}

/** @param {number[]} values */
const median = (values) => /** @type {number} */ (values.sort((a, b) => a - b)[Math.floor(values.length / 2)]);

await product(); // warm
const pairs = [];
for (let i = 0; i < Number(flags.pairs); i++) {
  const pair = { product: await product(), peer: peer() };
  pairs.push(pair);
  console.log(JSON.stringify(pair));
}
await predictor.dispose();
const [own, other] = [median(pairs.map((pair) => pair.product)), median(pairs.map((pair) => pair.peer))];
const ratios = pairs.map((pair) => pair.peer / pair.product);
console.log(
  JSON.stringify({
    images: images.length,
    megapixels: images.reduce((sum, { shape: [height, width] }) => sum + height * width, 0) / 1e6,
    threads,
    inference,
    imagesPerSecond: { product: images.length / own, peer: images.length / other },
    ratio: other / own,
    ratios: [Math.min(...ratios), Math.max(...ratios)],
  }),
);
process.exit(0);
