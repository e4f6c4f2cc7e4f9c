/**
 * `node scripts/readmePicture.mjs`: draws docs/images/nuclei.png, the README's picture, with the shipped weights: of the images
 * of examples/nuclei, by AP at IoU 0.5, the best, the one in the middle and the worst. Each row: image, truth, prediction.
 */
import { join } from "node:path";
import { root } from "./ready.mjs";

const { evaluateWeights, openPredictor } = await import("cellsam-train");
const { decodeImage, decodeLabels } = await import("../dist/data/decode.js");
const canvases = await import("../dist/report/canvas.js");
const { writeCanvas } = await import("../dist/report/overlay.js");

const folder = join(root, "examples", "nuclei");
const [images, masks] = [join(folder, "images"), join(folder, "masks")];
const model = { weights: "cellsam-tiny", device: /** @type {const} */ ("cpu") };
const { summary, images: measured } = await evaluateWeights(images, masks, model);
const ranked = measured.toSorted((a, b) => b.metrics.ap50 - a.metrics.ap50);
const chosen = [0, Math.floor(ranked.length / 2), ranked.length - 1].flatMap((rank) => ranked[rank] ?? []);

const rows = [];
const predictor = await openPredictor(model);
for (const { image: name, metrics } of chosen) {
  const image = await decodeImage(join(images, `${name}.png`));
  const truth = await decodeLabels(join(masks, `${name}.png`));
  const { labels } = await predictor.predict(image);
  rows.push(drawn(image, [truth, canvases.TRUTH], [labels, canvases.PREDICTION]));
  console.log(`${name}: AP.5 ${metrics.ap50.toFixed(2)}, F1 ${metrics.f1.toFixed(2)}`);
}
await predictor.dispose();
console.log(`all ${measured.length}: F1 ${summary.f1.toFixed(3)}, AP.5 ${summary.ap50.toFixed(3)}`);
const target = join(root, "docs", "images", "nuclei.png");
await writeCanvas(target, stacked(rows));
console.log(target);

/** @import { NdImage } from "../dist/data/image.js" */
/** @import { Canvas, Colour } from "../dist/report/canvas.js" */

/**
 * The image, and the image under each of the layers.
 * @param {NdImage} image
 * @param {[labels: { data: Int32Array }, colour: Colour][]} layers
 */
function drawn(image, ...layers) {
  const [height, width] = image.shape;
  const { canvas, lefts } = canvases.panels(1 + layers.length, width, height);
  const shown = canvases.toDisplay(image);
  for (const [i, left] of lefts.entries()) {
    canvases.drawImage(canvas, left, shown, width, 1, { width, height });
    const layer = layers[i - 1];
    if (!layer) continue; // the image alone
    const [labels, colour] = layer;
    canvases.drawContours(canvas, left, { data: labels.data, shape: [height, width] }, 1, colour);
  }
  return canvas;
}

/**
 * Canvases of one width below each other, with the gap that panels have.
 * @param {Canvas[]} rows
 */
function stacked(rows) {
  const width = rows[0]?.width ?? 0;
  const gap = Buffer.alloc(width * 3 * 8, 255);
  const data = Buffer.concat(rows.flatMap((row, i) => (i === 0 ? [row.data] : [gap, row.data])));
  return { data, width, height: data.length / (width * 3) };
}
