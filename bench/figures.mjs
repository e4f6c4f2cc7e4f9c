// The arithmetic of a benchmark: medians, ratios with the range of their pairs, exponents of growth, and the table.
import jstat from "jstat";
import { describe } from "../dist/stats/summary.js";

/** @import { CurveResult, Results, Variant } from "./types.js" */

/** @param {number[]} values */
function summary(values) {
  const { median, mean, min, max } = describe(values);
  if (median === null || mean === null || min === null || max === null) throw new Error("there is nothing to summarise");
  return { median, mean, min, max };
}

/** @param {number[]} values */
export const median = (values) => summary(values).median;

/**
 * How often faster the product is. `peer` and `product` are seconds of runs that alternated, pair by pair: the ratio of their
 * medians, and the smallest and largest ratio of a pair.
 * @param {number[]} peer
 * @param {number[]} product
 * @returns {{ ratio: number, range: [least: number, most: number] }}
 */
export function ratioOf(peer, product) {
  if (peer.length !== product.length || peer.length === 0)
    throw new Error("a ratio needs as many runs of one side as of the other");
  const { min, max } = summary(peer.map((seconds, i) => seconds / (product[i] ?? Number.NaN)));
  return { ratio: median(peer) / median(product), range: [min, max] };
}

/**
 * Whether two figures agree within a share of the peer's.
 * @param {number} peer
 * @param {number} product
 * @param {number} tolerance
 */
export function agrees(peer, product, tolerance) {
  return Math.abs(peer - product) <= tolerance * Math.abs(peer);
}

/**
 * k and c of seconds = c * size^k, by least squares of the logarithms.
 * @param {CurveResult["points"]} points
 */
export function growth(points) {
  const x = points.map(({ size }) => Math.log(size));
  const y = points.map(({ seconds }) => Math.log(seconds));
  const exponent = jstat.covariance(x, y) / jstat.variance(x, true);
  return { exponent, factor: Math.exp(summary(y).mean - exponent * summary(x).mean) };
}

/** @param {number} value */
export function seconds(value) {
  if (value >= 1) return `${value.toPrecision(3)} s`;
  return value >= 1e-3 ? `${(value * 1e3).toPrecision(3)} ms` : `${(value * 1e6).toPrecision(3)} us`;
}

/** @param {number} value */
const times = (value) => `${value >= 100 ? Math.round(value) : value.toPrecision(value >= 10 ? 3 : 2)}x`;
/** @param {number} bytes */
const gigabytes = (bytes) => (bytes / 2 ** 30).toPrecision(2);
/**
 * The settings of a way, those that are switched on by their names.
 * @param {Variant} variant
 */
const variantName = (variant) =>
  Object.entries(variant)
    .map(([name, value]) => (value === true ? name : value))
    .join(" ") || "-";

/**
 * One line a contest. `results` as run.mjs writes them.
 * @param {Results} results
 */
export function table(results) {
  const { device, threads, pairs } = results;
  const lines = [
    `Device ${device}, ${threads} thread${threads === 1 ? "" : "s"} on both sides, at least ${pairs} alternating pairs, medians. ${caption(results)}`,
    "",
    "| row | peer | product | ratio (pairs) | target | ratio of wall times | memory, peer / product | share of matrix peak |",
    "|---|---|---|---|---|---|---|---|",
  ];
  for (const row of results.rows) {
    if (row.error !== undefined) {
      lines.push(`| ${row.title} | | | ${row.error} | | | | |`);
      continue;
    }
    const { peer, product } = row;
    const memory = `${gigabytes(peer.peak)} / ${gigabytes(product.peak)} GiB (${times(peer.peak / product.peak)})`;
    lines.push(
      `| ${row.title} | ${seconds(peer.median)} (${variantName(peer.variant)}) | ${seconds(product.median)} (${variantName(product.variant)}) ` +
        `| ${times(row.ratio)} (${times(row.range[0])} to ${times(row.range[1])}) | ${row.target ? times(row.target) : "-"} ` +
        `| ${times(row.wallRatio)} | ${row.memory === false ? "-" : memory} | ${row.share ? `${Math.round(100 * row.share)} %` : "-"} |`,
    );
  }
  const notes = results.rows.filter(({ note }) => note).map(({ title, note }) => `- ${title}: ${note}`);
  if (notes.length > 0) lines.push("", ...notes);
  if (results.growth.length > 0) lines.push("", ...growthTable(results.growth));
  return `${lines.join("\n")}\n`;
}

/** @param {Results} results */
function caption({ device, threads }) {
  if (device !== "cpu" || threads !== 1) return "Times are wall times.";
  return "Times are CPU seconds of the process, which other work on the machine disturbs less than wall times.";
}

/** @param {CurveResult[]} curves */
function growthTable(curves) {
  const lines = ["| growth | side | times | exponent |", "|---|---|---|---|"];
  for (const { title, side, points, exponent } of curves) {
    const shown = points.map(({ size, seconds: value }) => `${size}: ${seconds(value)}`).join(", ");
    lines.push(`| ${title} | ${side} | ${shown} | ${exponent.toFixed(2)} |`);
  }
  return lines;
}
