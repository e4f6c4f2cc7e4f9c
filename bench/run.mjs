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

const folder = join(import.meta.dirname, "rows");
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
  if (row.devices && !row.devices.includes(options.device)) continue;
  if (options.side && !row.sizes) shrink(row, Number(options.side));
  const begin = Date.now();
  setup.say(`${row.name}: ${row.title}`);
  let measured;
  try {
    measured = row.sizes ? await runGrowth(row, setup) : [await runContest(row, setup)];
  } catch (error) {
    failed++;
    measured = [{ name: row.name, title: row.title, error: error.message }];
  }
  const minutes = (Date.now() - begin) / 60_000;
  if (!options.side) save(row, measured);
  for (const one of measured) {
    setup.say(
      `  ${one.error ?? (one.ratio ? `${one.ratio.toFixed(2)}x` : `exponent ${one.exponent.toFixed(2)}`)} in ${minutes.toFixed(1)} min`,
    );
  }
}
if (!options.side) console.log(readFileSync(`${file}.md`, "utf8"));
process.exit(failed > 0 ? 1 : 0);

/** The same row with small networks, under other names. */
function shrink(row, side) {
  row.name += `-${side}`;
  row.fixture = { ...row.fixture, key: `${row.fixture.key}-side${side}` };
  const small = { image_size: side, ...(row.parameters?.cells && { tile: side / 2 }) };
  row.parameters = { ...row.parameters, ...small };
  for (const step of row.fixture.steps) if (step.parameters) Object.assign(step.parameters, small);
  row.peer = { ...row.peer, variants: row.peer.variants.filter(({ compile }) => !compile).slice(0, 2) };
}

/** Writes the results; called after every row, so that they are not lost when a long run is stopped. */
function save(row, measured) {
  const before = read();
  const others = (list) => list.filter(({ name }) => name !== row.name);
  const order = (a, b) => all.findIndex(({ name }) => name === a.name) - all.findIndex(({ name }) => name === b.name);
  const grows = row.sizes && !measured[0].error;
  const results = {
    ...setup.facts,
    finished: new Date().toISOString(),
    pairs: setup.pairs,
    rows: [...others(before.rows), ...(grows ? [] : measured)].sort(order),
    growth: [...others(before.growth), ...(grows ? measured : [])].sort(order),
  };
  writeFileSync(`${file}.json`, `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(`${file}.md`, table(results));
}

function read() {
  try {
    return JSON.parse(readFileSync(`${file}.json`, "utf8"));
  } catch {
    return { rows: [], growth: [] };
  }
}
