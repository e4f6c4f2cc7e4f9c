/**
 * `node scripts/readmePicture.mjs`: draws the README's pictures. Each shows three images: the best, the one in the middle and the
 * worst.
 *
 *   docs/images/nuclei.png      the images of examples/nuclei by AP at IoU 0.5 with the shipped weights: image, truth, prediction
 *   docs/images/quickstart.png  the validation images of `npm run quickstart`, which must have run, by how far it changed their
 *                               AP: image, truth, prediction before and after
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, parse } from "node:path";
import { root } from "./ready.mjs";

const { evaluatePair, openPredictor } = await import("cellsam-train");
const { decodeImage, decodeLabels } = await import("../dist/data/decode.js");
const canvases = await import("../dist/report/canvas.js");
const { writeCanvas } = await import("../dist/report/overlay.js");

/** @import { NdImage } from "../dist/data/image.js" */
/** @import { Canvas, Colour } from "../dist/report/canvas.js" */
/** @typedef {{ name: string, image: NdImage, truth: { data: Int32Array }, labels: { data: Int32Array }[], ap: number[] }} Shown */

const shipped = await openPredictor({ weights: "cellsam-tiny", device: "cpu" });
const nuclei = join(root, "examples", "nuclei");
await draw("nuclei", await predicted(nuclei, namesIn(nuclei), [shipped]), ([ap = 0]) => ap);
const trained = await openPredictor({ experiment: join(root, "output", "quickstart") });
const smears = join(root, "examples", "cytology");
const { val } = JSON.parse(readFileSync(join(smears, "splits.json"), "utf8"));
await draw("quickstart", await predicted(smears, val, [shipped, trained]), ([before = 0, after = 0]) => after - before);
await shipped.dispose();
await trained.dispose();

/** @param {string} folder */
function namesIn(folder) {
  return readdirSync(join(folder, "images")).map((file) => parse(file).name);
}

/**
 * What each model finds on the images of a folder of examples, and its AP at IoU 0.5.
 * @param {string} folder @param {string[]} names @param {typeof shipped[]} models
 */
async function predicted(folder, names, models) {
  /** @type {Shown[]} */
  const all = [];
  for (const name of names) {
    const image = await decodeImage(join(folder, "images", `${name}.png`));
    const truth = await decodeLabels(join(folder, "masks", `${name}.png`));
    /** @type {Shown} */
    const shown = { name, image, truth, labels: [], ap: [] };
    for (const model of models) {
      const { labels } = await model.predict(image);
      shown.labels.push(labels);
      shown.ap.push((await evaluatePair(truth, labels)).ap50);
    }
    all.push(shown);
  }
  return all;
}

/** @param {string} picture @param {Shown[]} all @param {(ap: number[]) => number} quality */
async function draw(picture, all, quality) {
  const ranked = all.toSorted((a, b) => quality(b.ap) - quality(a.ap));
  const rows = [];
  for (const { name, image, truth, labels, ap } of [0, ranked.length >> 1, ranked.length - 1].flatMap((i) => ranked[i] ?? [])) {
    const found = labels.map((layer) => /** @type {[{ data: Int32Array }, Colour]} */ ([layer, canvases.PREDICTION]));
    rows.push(drawn(image, [truth, canvases.TRUTH], ...found));
    console.log(`${name}: AP.5 ${ap.map((value) => value.toFixed(2)).join(", ")}`);
  }
  const target = join(root, "docs", "images", `${picture}.png`);
  await writeCanvas(target, stacked(rows));
  console.log(target);
}

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
 * Canvases of the same width below each other, with the gap between panels.
 * @param {Canvas[]} rows
 */
function stacked(rows) {
  const width = rows[0]?.width ?? 0;
  const gap = Buffer.alloc(width * 3 * 8, 255);
  const data = Buffer.concat(rows.flatMap((row, i) => (i === 0 ? [row.data] : [gap, row.data])));
  return { data, width, height: data.length / (width * 3) };
}
