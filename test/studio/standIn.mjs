/**
 * Serves studio with a stand-in for the network, which tests need not build: it predicts discs on a grid, and answers a click
 * with the disc around it. `node test/studio/standIn.mjs DATA OUT PORT [MASKS]` prints the address to open.
 */
import { CellsamError } from "../../dist/errors.js";
import { serveStudio } from "../../dist/studio/serve.js";

/** @import { OpenStudioModel, PromptView } from "../../dist/studio/models.js" */

const [, , data = "", out = "", port = "0", masks = null] = process.argv;
/** Pixels between the middles of predicted discs, and radius of all discs. */
const [GRID, RADIUS] = [40, 12];
/** Pixels between points that are too far apart for one cell. */
const FAR = 80;

/** @type {OpenStudioModel} */
const openModel = async () => ({
  concurrency: 1,
  predict: async ({ shape: [height, width] }) => discs(width, height),
  view: async ({ shape: [height, width] }) => ({
    segment: async (prompt) => disc(prompt, width, height),
    dispose: async () => {},
  }),
  dispose: async () => {},
});

/**
 * @param {number} width
 * @param {number} height
 */
function discs(width, height) {
  const labels = new Int32Array(width * height);
  let count = 0;
  for (let y = GRID / 2; y < height; y += GRID) {
    for (let x = GRID / 2; x < width; x += GRID) {
      count++;
      for (let j = -RADIUS; j <= RADIUS; j++) {
        const half = Math.floor(Math.sqrt(RADIUS * RADIUS - j * j));
        if (y + j < height) labels.fill(count, (y + j) * width + x - half, (y + j) * width + Math.min(width, x + half + 1));
      }
    }
  }
  const scores = Float64Array.from({ length: count }, (_, i) => 0.5 + (i % 10) / 20);
  /** @type {[number]} */
  const shape = [count];
  return {
    labels: { data: labels, /** @type {[number, number]} */ shape: [height, width] },
    scores: { data: scores, shape },
    ious: { data: scores, shape },
    boxes: { data: new Float64Array(4 * count), /** @type {[number, number]} */ shape: [count, 4] },
    count,
  };
}

let proposals = 0;

/** @type {(prompt: Parameters<PromptView["segment"]>[0], width: number, height: number) => ReturnType<PromptView["segment"]>} */
async function disc({ points = [], box }, width, height) {
  const across = Math.max(...points.map(([x]) => x)) - Math.min(...points.map(([x]) => x));
  if (across > FAR) throw new CellsamError("ERR_TOO_FAR_APART", "segment: the points on the cell do not lie in one tile of …");
  const [x, y] = box ? [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] : (points[0] ?? [0, 0]);
  const radius = box ? Math.min(box[2] - box[0], box[3] - box[1]) / 2 : RADIUS;
  const [x0, y0] = [Math.max(0, Math.floor(x - radius)), Math.max(0, Math.floor(y - radius))];
  const [x1, y1] = [Math.min(width, Math.ceil(x + radius)), Math.min(height, Math.ceil(y + radius))];
  /** @type {number[]} */
  const mask = [0];
  let value = false;
  for (let row = y0; row < y1; row++) {
    for (let column = x0; column < x1; column++) {
      const inside = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius * radius;
      if (inside !== value) mask.push(0);
      value = inside;
      mask[mask.length - 1] = (mask.at(-1) ?? 0) + 1;
    }
  }
  const ring = Array.from({ length: 48 }, (_, i) => [
    x + radius * Math.cos((i * Math.PI) / 24),
    y + radius * Math.sin((i * Math.PI) / 24),
  ]);
  return { proposal: ++proposals, score: 0.9, bounds: [x0, y0, x1, y1], mask, outline: [ring.flat()] };
}

const { address, close } = await serveStudio(
  { data, masks, out, settings: { weights: "cellsam-tiny", device: "cpu" }, openModel },
  { host: "127.0.0.1", port: Number(port) },
);
console.log(address);
process.on("SIGTERM", () => void close());
