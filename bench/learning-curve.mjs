// How fast the detector of `tiny` learns from random weights; docs/learning.md has results:
//
//   node scripts/tinyData.mjs data/nuclei      # the images
//   node bench/learning-curve.mjs [--steps 1000] [--seed 1] [--learning-rate 0.001] [--set optimizer=muon]...
//
// trains stage 1 in one thread on batches of 8 windows of 128 x 128 pixels at random places, and prints a line of JSON after
// each quarter of the steps: CPU seconds of the training so far, and on windows of the images that were held out the AP of boxes
// at IoU 0.5 (TP / (TP + FP + FN) at the best threshold) and the recall at any score. `--set` gives a setting of stage 1.
// `--export FOLDER` writes the windows for the peer in plain PyTorch, peer/stardist.py, and trains nothing.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { crop } from "../dist/data/crop.js";
import { decodeImage, decodeLabels } from "../dist/data/decode.js";
import { Random } from "../dist/data/random.js";
import { openSession } from "../dist/engine/session.js";
import { openStoreWriter } from "../dist/engine/storeWriter.js";
import { camelCase } from "../dist/spelling.js";
import { root } from "../scripts/ready.mjs";

/** @import { LabelMap, NdImage } from "../dist/data/image.js" */
/** @import { Session } from "../dist/engine/session.js" */
/** @typedef {{ image: NdImage, labels: LabelMap }} Pair */
/** @typedef {[number, number, number, number]} Box */

const SIDE = 128;
const WINDOWS = { train: 6000, held: 320 };
const BATCH = 8;
/** Pieces of cells with fewer pixels count for nothing. */
const MIN_AREA = 20;

const { values: flags } = parseArgs({
  options: {
    data: { type: "string", default: join(root, "data", "cellsam-tiny-more") },
    steps: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    "learning-rate": { type: "string", default: "0.001" },
    set: { type: "string", multiple: true, default: [] },
    export: { type: "string" },
  },
});
const [steps, seed] = [Number(flags.steps), Number(flags.seed)];
const settings = Object.fromEntries(
  flags.set.map((text) => text.split("=")).map(([key, value]) => [camelCase(key ?? ""), read(value ?? "")]),
);

/** @param {string} value */
function read(value) {
  try {
    return JSON.parse(value);
  } catch {
    return value; // a word
  }
}

/**
 * @param {string[]} names
 * @returns {Promise<Pair[]>}
 */
function decoded(names) {
  return Promise.all(
    names.map(async (name) => ({
      image: stretched(await decodeImage(join(flags.data, "images", `${name}.png`))),
      labels: await decodeLabels(join(flags.data, "masks", `${name}.png`)),
    })),
  );
}

/**
 * As RGB of 8 bits, whose 1st and 99th percentiles are 0 and 255: what both sides see.
 * @param {NdImage} image
 * @returns {NdImage}
 */
function stretched(image) {
  const [height, width, channels = 1] = image.shape;
  const sorted = Float64Array.from(image.data).sort();
  const [low = 0, high = 0] = [0.01, 0.99].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
  const data = Uint8Array.from({ length: 3 * height * width }, (_, i) => {
    const value = Number(image.data[Math.floor(i / 3) * channels + Math.min(i % 3, channels - 1)]);
    return Math.round(255 * Math.min(1, Math.max(0, (value - low) / Math.max(high - low, 1e-6))));
  });
  return { ...image, data, shape: [height, width, 3] };
}

/**
 * Windows at random places of images that are large enough, by how large they are.
 * @param {Pair[]} pairs
 * @param {number} count
 */
function* windows(pairs, count) {
  const random = new Random(1);
  const fitting = pairs.filter(({ labels }) => Math.min(...labels.shape) >= SIDE);
  // The number of an image as often as it holds a window's pixels.
  const places = fitting.flatMap(({ labels: { shape } }, i) => Array(Math.ceil((shape[0] * shape[1]) / SIDE ** 2)).fill(i));
  for (let i = 0; i < count; i++) {
    const { image, labels } = /** @type {Pair} */ (fitting[places[random.integer(0, places.length - 1)]]);
    const [y, x] = /** @type {[number, number]} */ (labels.shape.map((side) => random.integer(0, side - SIDE)));
    yield crop(image, labels, { x, y, width: SIDE, height: SIDE });
  }
}

/**
 * xyxy of the cells in a window.
 * @param {LabelMap} labels
 * @returns {Box[]}
 */
function boxesOf({ data }) {
  /** @type {Map<number, { box: Box, area: number }>} */
  const cells = new Map();
  data.forEach((id, i) => {
    if (id <= 0) return;
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const cell = cells.get(id) ?? { box: [x, y, x, y], area: 0 };
    const [left, top, right, bottom] = cell.box;
    cell.box = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
    cell.area++;
    cells.set(id, cell);
  });
  return [...cells.values()].filter(({ area }) => area >= MIN_AREA).map(({ box }) => box);
}

/**
 * @param {ArrayLike<number>} a
 * @param {ArrayLike<number>} b
 */
function iou(a, b) {
  const [ax = 0, ay = 0, aright = 0, abottom = 0, bx = 0, by = 0, bright = 0, bbottom = 0] = [
    ...Array.from(a),
    ...Array.from(b),
  ];
  const shared =
    Math.max(0, Math.min(aright, bright) - Math.max(ax, bx)) * Math.max(0, Math.min(abottom, bbottom) - Math.max(ay, by));
  return shared / ((aright - ax) * (abottom - ay) + (bright - bx) * (bbottom - by) - shared);
}

/**
 * @param {Session} session
 * @param {Pair[]} held
 */
async function scores(session, held) {
  const found = [];
  let cells = 0;
  for (const { image, labels } of held) {
    const view = await session.embed({ image, normalize: false, bboxThreshold: 0.02, adaptiveThreshold: false, nmsIou: 0.5 });
    const { boxes, scores } = await view.detect();
    await view.dispose();
    const left = boxesOf(labels);
    cells += left.length;
    for (const [i, score] of scores.data.entries()) {
      const overlaps = left.map((truth) => iou(truth, boxes.data.subarray(4 * i, 4 * i + 4)));
      const best = Math.max(0, ...overlaps);
      if (best >= 0.5) left.splice(overlaps.indexOf(best), 1);
      found.push({ score, hit: best >= 0.5 });
    }
  }
  let [hits, ap] = [0, 0];
  found.sort((a, b) => b.score - a.score);
  found.forEach(({ hit }, i) => {
    hits += Number(hit);
    ap = Math.max(ap, hits / (cells + i + 1 - hits));
  });
  return { ap: round(ap), recall: round(hits / cells), cells };
}

/** @param {number} value */
const round = (value) => Math.round(value * 1000) / 1000;

function cpu() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const split = JSON.parse(readFileSync(join(root, "examples", "cellsam-tiny-more.splits.json"), "utf8"));
const held = [...windows(await decoded(split.val), WINDOWS.held)];
if (flags.export) {
  mkdirSync(flags.export, { recursive: true });
  for (const [name, pairs] of Object.entries({ held, train: [...windows(await decoded(split.train), WINDOWS.train)] })) {
    const file = (/** @type {string} */ ending) => join(/** @type {string} */ (flags.export), `${name}.${ending}`);
    writeFileSync(file("images.u8"), Buffer.concat(pairs.map(({ image }) => Buffer.from(image.data.buffer))));
    writeFileSync(file("labels.i32"), Buffer.concat(pairs.map(({ labels }) => Buffer.from(labels.data.buffer))));
  }
  process.exit();
}
const folder = mkdtempSync(join(tmpdir(), "cellsam-bench-"));
const store = join(folder, "tiles.store");
const writer = await openStoreWriter({ path: store, tileSize: SIDE, minFragmentArea: MIN_AREA, normalize: false });
let tile = 0;
for (const { image, labels } of windows(await decoded(split.train), WINDOWS.train)) {
  await writer.add({ image, labels, source: `${tile++}` });
}
await writer.finish();
await writer.dispose();

const session = await openSession({ size: "tiny", threads: 1, seed });
await session.beginStage({
  stage: 1,
  epochs: 1,
  stepsPerEpoch: steps,
  learningRate: Number(flags["learning-rate"]),
  scheduler: "cosine",
  warmupFraction: 0.05,
  ceLossWeight: 2,
  bboxLossWeight: 5,
  giouLossWeight: 2,
  setCostClass: 2,
  setCostBbox: 5,
  setCostGiou: 2,
  ...settings,
});
const random = new Random(seed);
const quarter = Math.ceil(steps / 4);
for (let done = 0, seconds = 0, epoch = 1; done < steps; epoch++) {
  const start = cpu();
  const count = BATCH * Math.min(quarter, steps - done);
  const indices = Int32Array.from({ length: count }, () => random.integer(0, tile - 1));
  const report = await session.trainEpoch({ store, indices, epoch, batchSize: BATCH, augment: true });
  seconds += cpu() - start;
  done += report.steps;
  console.log(
    JSON.stringify({
      steps: done,
      cpu_seconds: Math.round(seconds),
      loss: report.losses.total_loss,
      ...(await scores(session, held)),
    }),
  );
}
await session.dispose();
rmSync(folder, { recursive: true });
