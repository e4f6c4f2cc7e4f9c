/**
 * `node scripts/tinyData.mjs data/nuclei`: prepares the images that examples/cellsam-tiny-more.yaml trains on, from a folder of
 * `images` and `masks` that docs/learning.md describes, in data/cellsam-tiny-more:
 *
 * - `images`, `masks`: what examples/cellsam-tiny-more.splits.json names; of a training image the part of at most 416 x 416 pixels
 *   that shows most, so that no large image outweighs the small ones; held-out images whole;
 * - `rescaled`: copies of the training images at other scales, since few nuclei are small in one stain and large in another.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { root } from "./ready.mjs";

const { decodeImage, decodeLabels } = await import("../dist/data/decode.js");
const { fullestCrop } = await import("../dist/data/crop.js");
const { writeLabels } = await import("../dist/data/write.js");

/** @import { LabelMap, NdImage } from "../dist/data/image.js" */

/** Largest side of a training image, in pixels: four tiles of 128 that overlap by a quarter. */
const SIDE = 416;
/** Smallest area of an object in a rescaled copy, in pixels; prediction drops what is smaller, too. */
const MIN_AREA = 20;

const [source] = process.argv.slice(2);
if (!source) {
  console.error("which folder? node scripts/tinyData.mjs data/nuclei");
  process.exit(2);
}
const target = join(root, "data", "cellsam-tiny-more");
for (const folder of [target, join(target, "rescaled")]) {
  for (const kind of ["images", "masks"]) mkdirSync(join(folder, kind), { recursive: true });
}
const { train, val } = JSON.parse(readFileSync(join(root, "examples", "cellsam-tiny-more.splits.json"), "utf8"));
for (const name of val) await write(target, name, await read(name));
let copies = 0;
for (const name of train) {
  const whole = await read(name);
  await write(target, name, fullestCrop(whole.image, whole.labels, SIDE));
  for (const scale of scalesOf(whole)) {
    const { image, labels } = await rescaled(whole, scale);
    await write(join(target, "rescaled"), `${name}_x${scale}`, fullestCrop(image, labels, SIDE));
    copies++;
  }
}
console.log(`${target}: ${train.length} images and ${copies} rescaled copies that train, ${val.length} held out`);

/** @param {string} name */
async function read(name) {
  return {
    image: await decodeImage(join(/** @type {string} */ (source), "images", `${name}.png`)),
    labels: await decodeLabels(join(/** @type {string} */ (source), "masks", `${name}.png`)),
  };
}

/**
 * @param {string} folder
 * @param {string} name
 * @param {{ image: NdImage, labels: LabelMap }} pair
 */
async function write(folder, name, { image, labels }) {
  await pixels(image)
    .png()
    .toFile(join(folder, "images", `${name}.png`));
  await writeLabels(join(folder, "masks", `${name}.png`), labels);
}

/**
 * The scales of the copies of an image. Large nuclei are halved. Stained tissue is rare, and has three copies.
 * @param {{ image: NdImage, labels: LabelMap }} pair
 */
function scalesOf({ image, labels }) {
  const cells = labels.data.reduce((count, id) => count + Number(id > 0), 0);
  const diameter = Math.sqrt((4 / Math.PI) * (cells / Math.max(1, labels.count)));
  const large = diameter >= 24;
  const stained = image.shape.length === 3;
  if (stained) return large ? [0.5, 0.7, 1] : [0.7, 1, 1.4];
  return large ? [0.5] : [];
}

/**
 * Both at `scale`: the image by Lanczos' kernel, the labels by the nearest pixel.
 * @param {{ image: NdImage, labels: LabelMap }} pair
 * @param {number} scale
 */
async function rescaled({ image, labels }, scale) {
  const [height = 0, width = 0] = labels.shape.map((side) => Math.round(side * scale));
  const deep = image.data instanceof Uint16Array;
  const bytes = await pixels(image)
    .resize(width, height, { fit: "fill" })
    .raw({ depth: deep ? "ushort" : "uchar" })
    .toBuffer();
  const resized = deep ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2) : new Uint8Array(bytes);
  const shape = /** @type {NdImage["shape"]} */ ([height, width, ...image.shape.slice(2)]);
  return { image: { ...image, data: resized, shape }, labels: rescaledLabels(labels, height, width) };
}

/**
 * The nearest pixel of `labels` at each place of a grid of `height` x `width`, without objects below MIN_AREA.
 * @param {LabelMap} labels
 * @param {number} height
 * @param {number} width
 */
function rescaledLabels(labels, height, width) {
  const [rows, columns] = labels.shape;
  const data = new Int32Array(height * width);
  const areas = new Map();
  for (let i = 0; i < data.length; i++) {
    const row = Math.floor(((Math.floor(i / width) + 0.5) * rows) / height);
    const column = Math.floor((((i % width) + 0.5) * columns) / width);
    const id = labels.data[row * columns + column] ?? 0;
    data[i] = id;
    areas.set(id, (areas.get(id) ?? 0) + 1);
  }
  const kept = data.map((id) => (areas.get(id) < MIN_AREA ? 0 : id));
  return { ...labels, data: kept, shape: /** @type {[number, number]} */ ([height, width]), count: new Set(kept).size - 1 };
}

/**
 * An image as sharp's, of one or three channels and as deep as it was.
 * @param {NdImage} image
 */
function pixels({ data, shape: [height, width, channels = 1] }) {
  const colours = channels === 1 ? (data instanceof Uint16Array ? "grey16" : "b-w") : "srgb";
  const raw = { width, height, channels: /** @type {1 | 3} */ (channels) };
  return sharp(/** @type {Uint8Array | Uint16Array} */ (data), { raw }).toColourspace(colours);
}
