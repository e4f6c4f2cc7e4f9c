/**
 * `node scripts/scaledCopies.mjs DATA SPLITS OUT`: copies the training images of SPLITS, enlarged or reduced by a factor between
 * 0.5 and 2 that their name and number draw, to OUT/images and OUT/masks. DATA has images/, masks/ and index.csv with the
 * columns name and type; kinds with few tiles of 128 pixels get up to 8 copies of each image, the others one, so that none is
 * rare in training. Images of 16 bits are left out.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

const { readImage, writeLabels } = await import("cellsam-train");
const [data, splits, out] = process.argv.slice(2);
if (!out) {
  console.error("which folders? node scripts/scaledCopies.mjs data/nuclei splits.json data/nuclei-scaled");
  process.exit(2);
}
const tile = 128;
const wantedTiles = 600; // of a kind
const mostCopies = 8;

const [header, ...rows] = (await readFile(join(data, "index.csv"), "utf8")).trim().split("\n");
const columns = header.split(",");
const kinds = new Map(
  rows.map((row) => row.split(",")).map((row) => [row[columns.indexOf("name")], row[columns.indexOf("type")]]),
);
const { train } = JSON.parse(await readFile(splits, "utf8"));

/** Side [h,w] of an image [H,W] or [H,W,C] after scaling. */
const scaled = ({ shape: [height, width] }, factor) => [Math.round(height * factor), Math.round(width * factor)];

async function scaleImage(image, factor) {
  const [height, width] = scaled(image, factor);
  const raw = { width: image.shape[1], height: image.shape[0], channels: image.shape[2] ?? 1 };
  return sharp(image.data, { raw }).resize(width, height, { fit: "fill" }).png().toBuffer();
}

/** Each pixel takes the label under its centre. */
function scaleLabels(labels, factor) {
  const [height, width] = scaled(labels, factor);
  const [from, across] = labels.shape;
  const result = new Int32Array(height * width);
  for (let y = 0; y < height; y++) {
    const row = Math.min(from - 1, Math.floor(((y + 0.5) * from) / height)) * across;
    for (let x = 0; x < width; x++)
      result[y * width + x] = labels.data[row + Math.min(across - 1, Math.floor(((x + 0.5) * across) / width))];
  }
  return { data: result, shape: [height, width] };
}

/** The same for the same name and number: uniform in its logarithm. */
function factorOf(name, copy) {
  const draw = createHash("sha256").update(`${name} ${copy}`).digest().readUInt32BE() / 2 ** 32;
  return 2 ** (2 * draw - 1);
}

const images = [];
const tilesOf = {};
for (const name of train) {
  const image = await readImage(join(data, "images", `${name}.png`));
  if (image.data.BYTES_PER_ELEMENT > 1) continue;
  const kind = kinds.get(name);
  images.push({ name, kind, image });
  tilesOf[kind] = (tilesOf[kind] ?? 0) + Math.ceil(image.shape[0] / tile) * Math.ceil(image.shape[1] / tile);
}
for (const folder of ["images", "masks"]) await mkdir(join(out, folder), { recursive: true });
let copies = 0;
for (const { name, kind, image } of images) {
  const labels = await readImage(join(data, "masks", `${name}.png`));
  const count = Math.min(mostCopies, Math.max(1, Math.ceil(wantedTiles / tilesOf[kind]) - 1));
  for (let copy = 1; copy <= count; copy++) {
    const factor = factorOf(name, copy);
    if (Math.min(...scaled(image, factor)) < tile) continue;
    await writeFile(join(out, "images", `${name}_${copy}.png`), await scaleImage(image, factor));
    await writeLabels(join(out, "masks", `${name}_${copy}.png`), scaleLabels(labels, factor));
    copies++;
  }
}
console.log(`${copies} copies of ${images.length} images in ${out}`);
