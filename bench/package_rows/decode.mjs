// Reads the image and label map of every pair of a folder as the package does, one after another in the calling thread.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readImage, readLabels } from "../../dist/data/reader.js";

/** @import { OpenRequest, PackageRow } from "../types.js" */

/**
 * The image files of a folder, each with its label map.
 * @param {string} folder
 */
export function pictures(folder) {
  /** @param {string} kind */
  const of = (kind) =>
    readdirSync(folder)
      .filter((name) => name.startsWith(kind) && name.endsWith(".png"))
      .sort()
      .map((name) => join(folder, name));
  const labels = of("m");
  return of("i").map((image, i) => ({ image, labels: labels[i] ?? "" }));
}

/** @param {Iterable<number> & { length: number }} values */
function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/**
 * @param {OpenRequest} request
 * @returns {Promise<PackageRow>}
 */
export async function open({ folder }) {
  const files = pictures(folder);
  return {
    async check() {
      const images = [];
      const labels = [];
      for (const file of files) {
        images.push(mean((await readImage(file.image)).data));
        labels.push(mean((await readLabels(file.labels)).data));
      }
      return { image: mean(images), labels: mean(labels) };
    },
    async run() {
      for (const file of files) {
        await readImage(file.image);
        await readLabels(file.labels);
      }
      return {};
    },
  };
}
