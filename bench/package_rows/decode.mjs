// Reads the image and label map of every pair of a folder as the package does, one after another in the calling thread.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readImage, readLabels } from "../../dist/data/reader.js";

export function pictures(folder) {
  const of = (kind) =>
    readdirSync(folder)
      .filter((name) => name.startsWith(kind) && name.endsWith(".png"))
      .sort()
      .map((name) => join(folder, name));
  const labels = of("m");
  return of("i").map((image, i) => ({ image, labels: labels[i] }));
}

const mean = (arrays) => {
  const sums = arrays.map((data) => data.reduce((sum, value) => sum + value, 0) / data.length);
  return sums.reduce((sum, value) => sum + value, 0) / sums.length;
};

export async function open({ folder }) {
  const files = pictures(folder);
  return {
    async check() {
      const images = [];
      const labels = [];
      for (const file of files) {
        images.push((await readImage(file.image)).data);
        labels.push((await readLabels(file.labels)).data);
      }
      return { image: mean(images), labels: mean(labels) };
    },
    async run() {
      for (const file of files) {
        await readImage(file.image);
        await readLabels(file.labels);
      }
    },
  };
}
