/**
 * `node scripts/learningPicture.mjs`: draws docs/images/learning.png from bench/results/2026-12-01-learning-curve.json: AP of boxes
 * over the CPU seconds of trainings from random weights, a line for each training.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import sharp from "sharp";
import { palette } from "../dist/report/charts.js";
import { root } from "./ready.mjs";

/** @typedef {{ name: string, seed: number, points: { cpu_seconds: number, ap: number }[] }} Training */

/** @type {{ trainings: Training[] }} */
const { trainings } = JSON.parse(readFileSync(join(root, "bench", "results", "2026-12-01-learning-curve.json"), "utf8"));
const names = [...new Set(trainings.map(({ name }) => name))];
const points = trainings.flatMap(({ name, seed, points }) =>
  points.map((point) => ({ ...point, name, training: `${name} ${seed}` })),
);
const { document } = parseHTML("<html><body></body></html>");
const svg = plot.plot({
  document: /** @type {never} */ (document),
  width: 760,
  height: 400,
  marginLeft: 50,
  marginBottom: 40,
  style: { fontFamily: "sans-serif", fontSize: "13px", background: "#fff", color: "#222" },
  x: { label: "CPU seconds of the training", labelArrow: "none", grid: true, zero: true },
  y: { label: "AP of boxes at IoU 0.5", labelArrow: "none", grid: true, zero: true },
  marks: [
    plot.line(points, { x: "cpu_seconds", y: "ap", z: "training", stroke: ({ name }) => colour(name), strokeWidth: 1.6 }),
    plot.dot(points, { x: "cpu_seconds", y: "ap", fill: ({ name }) => colour(name), r: 2.6 }),
    plot.text(
      names.map((name, i) => ({ name, y: 0.04 + 0.045 * (names.length - 1 - i) })),
      {
        x: () => Math.max(...points.map(({ cpu_seconds }) => cpu_seconds)),
        y: "y",
        text: "name",
        fill: ({ name }) => colour(name),
        textAnchor: "end",
        fontWeight: "bold",
      },
    ),
  ],
});
svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
await sharp(Buffer.from(svg.outerHTML), { density: 144 })
  .png()
  .toFile(join(root, "docs", "images", "learning.png"));

/** @param {string} name */
function colour(name) {
  return /** @type {string} */ (palette[names.indexOf(name) % palette.length]);
}
