/**
 * `npm run bench -- --peer FOLDER`: every row of bench/rows, peer and product alternately. Writes
 * bench/results/DATE-DEVICE[-N-threads].json and the same as a Markdown table; rows that are measured again replace earlier
 * ones of the day.
 *
 *   --device cpu|cuda   default cpu
 *   --only NAME         a row by name, or the beginning of names; may be given more than once
 *   --threads N         of both sides, default 1
 *   --pairs N           default 5
 *   --python FILE       a Python with the peer's packages; default CELLSAM_PYTHON, then build/bench/python
 *   --setup             makes build/bench/python and builds the native bench program first
 *   --select            tries all variants of both sides again, and does not take the best of the last time
 *   --side N            networks on images of N pixels a side, to try the harness; results are not kept
 *   --list              prints the names
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runContest } from "./contest.mjs";
import { table } from "./figures.mjs";
import { runGrowth } from "./growth.mjs";
import { prepare } from "./setup.mjs";

const { values: options } = parseArgs({
  options: {
    peer: { type: "string" },
    device: { type: "string", default: "cpu" },
    only: { type: "string", multiple: true },
    threads: { type: "string", default: "1" },
    pairs: { type: "string", default: "5" },
    python: { type: "string" },
    setup: { type: "boolean", default: false },
    select: { type: "boolean", default: false },
    side: { type: "string" },
    list: { type: "boolean", default: false },
  },
});

/** @import { Contest, ContestResult, Curve, CurveResult, FailedRow, Results } from "./types.js" */

const folder = join(import.meta.dirname, "rows");
/** @type {(Contest | Curve)[]} */
const all = [];
for (const file of readdirSync(folder).filter((name) => name.endsWith(".mjs"))) {
  all.push(...[(await import(join(folder, file))).default].flat());
}
all.sort((a, b) => a.order - b.order);
const chosen = all.filter(({ name }) => !options.only || options.only.some((only) => name.startsWith(only)));
if (options.list) {
  for (const { name, title } of all) console.log(`${name.padEnd(28)}${title}`);
  process.exit(0);
}
if (chosen.length === 0) {
  console.error(`No row is called ${options.only}. The rows are: ${all.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}

const setup = await prepare(options);
const started = new Date();
const target = join(import.meta.dirname, "results");
mkdirSync(target, { recursive: true });
const threads = options.threads === "1" ? "" : `-${options.threads}-threads`;
const file = join(target, `${started.toISOString().slice(0, 10)}-${options.device}${threads}`);
let failed = 0;
for (const row of chosen) {
  if (row.devices && !row.devices.includes(setup.device)) continue;
  if (options.side && !("sizes" in row)) shrink(row, Number(options.side));
  const begin = Date.now();
  setup.say(`${row.name}: ${row.title}`);
  /** @type {CurveResult[] | (ContestResult | FailedRow)[]} */
  let measured;
  try {
    measured = "sizes" in row ? await runGrowth(row, setup) : [await runContest(row, setup)];
  } catch (error) {
    failed++;
    measured = [{ name: row.name, title: row.title, error: /** @type {Error} */ (error).message }];
  }
  const minutes = (Date.now() - begin) / 60_000;
  if (!options.side) save(row, measured);
  for (const one of measured) setup.say(`  ${figure(one)} in ${minutes.toFixed(1)} min`);
}
if (!options.side) console.log(readFileSync(`${file}.md`, "utf8"));
process.exit(failed > 0 ? 1 : 0);

/** @param {ContestResult | FailedRow | CurveResult} measured */
function figure(measured) {
  if ("exponent" in measured) return `exponent ${measured.exponent.toFixed(2)}`;
  return measured.error ?? `${measured.ratio.toFixed(2)}x`;
}

/**
 * The same row with small networks, under names of its own.
 * @param {Contest} row
 * @param {number} side
 */
function shrink(row, side) {
  row.name += `-${side}`;
  row.fixture = { ...row.fixture, key: `${row.fixture.key}-side${side}` };
  const small = { image_size: side, ...(row.parameters?.cells && { tile: side / 2 }) };
  row.parameters = { ...row.parameters, ...small };
  for (const step of row.fixture.steps) if (step.parameters) Object.assign(step.parameters, small);
  row.peer = { ...row.peer, variants: row.peer.variants.filter(({ compile }) => !compile).slice(0, 2) };
}

/**
 * After every row, so that a long run that is stopped has not been in vain.
 * @param {Contest | Curve} row
 * @param {CurveResult[] | (ContestResult | FailedRow)[]} measured
 */
function save(row, measured) {
  const before = read();
  /** @type {<R extends { name: string }>(list: R[]) => R[]} */
  const others = (list) => list.filter(({ name }) => name !== row.name);
  const index = (/** @type {{ name: string }} */ row) => all.findIndex(({ name }) => name === row.name);
  /** @type {(a: { name: string }, b: { name: string }) => number} */
  const order = (a, b) => index(a) - index(b);
  const curves = measured.flatMap((one) => ("exponent" in one ? one : []));
  const contests = measured.flatMap((one) => ("exponent" in one ? [] : one));
  const results = {
    ...setup.facts,
    finished: new Date().toISOString(),
    pairs: setup.pairs,
    rows: [...others(before.rows), ...contests].sort(order),
    growth: [...others(before.growth), ...curves].sort(order),
  };
  writeFileSync(`${file}.json`, `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(`${file}.md`, table(results));
}

/** @returns {Pick<Results, "rows" | "growth">} */
function read() {
  try {
    return JSON.parse(readFileSync(`${file}.json`, "utf8"));
  } catch {
    return { rows: [], growth: [] };
  }
}
