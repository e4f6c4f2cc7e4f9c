/**
 * `node test/faults/run.mjs [--kind KIND]... [--scenario NAME]... [--every N [--from M]] [--flips N] [--done FILE]`: faults of each
 * kind in every scenario. Kinds: kill, cut, full, full-once and power at every N-th telling operation (default: each) from the M-th
 * on (default: 0, the first), flips of N bits (default 4) in each file. Prints each wrong end, and how many faults there were.
 * Ctrl-C ends it after the fault at hand. Faults are noted in FILE, and those that are there already are counted and not tried.
 */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FlipTest } from "./bitFlips.mjs";
import { FaultTest } from "./faults.mjs";
import { killings, lostAtEnd, powerLosses, tryDisk } from "./powerLoss.mjs";
import { scenarios } from "./scenarios.mjs";

const { values } = parseArgs({
  options: {
    kind: { type: "string", multiple: true, default: ["kill", "cut", "full", "full-once", "power", "flips"] },
    scenario: { type: "string", multiple: true },
    every: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
    flips: { type: "string", default: "4" },
    done: { type: "string" },
  },
});
const chosen = (/** @type {string} */ name) => values.scenario?.includes(name) ?? true;
const every = Number(values.every);
const from = Number(values.from);
const folder = mkdtempSync(join(tmpdir(), "cellsam-faults-"));
let stopping = false;
process.once("SIGINT", () => {
  stopping = true;
});
const total = { faults: 0, refused: 0, wrong: 0 };

/** @typedef {{ refused?: boolean, problem: string | null }} Result */
/** @typedef {[name: string, run: () => Promise<Result>]} Trial */

/** What an earlier call has noted, by name. @type {Map<string, Result>} */
const done = new Map();
if (values.done && existsSync(values.done)) {
  for (const line of readFileSync(values.done, "utf8").split("\n").filter(Boolean)) {
    const { name, ...result } = JSON.parse(line);
    done.set(name, result);
  }
}

/** @param {Trial} trial */
async function tryOnce([name, run]) {
  const known = done.get(name);
  if (known) return known;
  const { refused, problem } = await run();
  if (problem) console.log(problem);
  if (values.done) appendFileSync(values.done, `${JSON.stringify({ name, refused, problem })}\n`);
  return { refused, problem };
}

/** Tries one fault after another, and says what they came to. @param {string} title @param {Iterable<Trial>} trials */
async function tryAll(title, trials) {
  const sum = { faults: 0, refused: 0, wrong: 0 };
  for (const trial of trials) {
    if (stopping) break;
    const { refused, problem } = await tryOnce(trial);
    sum.faults += 1;
    sum.refused += refused ? 1 : 0;
    sum.wrong += problem ? 1 : 0;
  }
  console.log(`${title}: ${sum.faults} faults, ${sum.refused} refused with a code, ${sum.wrong} wrong ends`);
  for (const key of /** @type {const} */ (["faults", "refused", "wrong"])) total[key] += sum[key];
}

/** @param {FaultTest} test */
const placesOf = (test) => test.places.filter((_, i) => i >= from && (i - from) % every === 0);

/** @param {FaultTest} test @param {"kill" | "full" | "full-once"} mode @returns {Generator<Trial>} */
function* faultsOf(test, mode) {
  for (const at of placesOf(test))
    yield [`${test.scenario.name}, ${mode} at ${at}`, async () => ({ problem: await test.tryAt(mode, at) })];
}

/** @param {FaultTest} test @param {"cut" | "power"} kind @returns {Generator<Trial>} */
function* disksOf(test, kind) {
  const places = placesOf(test);
  const mayRefuse = kind === "power";
  for (const left of kind === "cut" ? killings(test, { places }) : powerLosses(test, { places }))
    yield [left.place, () => tryDisk(test, left, { mayRefuse })];
  if (kind === "power") yield [`${test.scenario.name}, power after the end`, async () => ({ problem: lostAtEnd(test) })];
}

/** @param {FlipTest} test @returns {Generator<Trial>} */
function* flipsOf(test) {
  const { files, scenario } = test;
  for (const file of files)
    for (let i = 1; i <= Number(values.flips); i++) yield [`${scenario.name}, ${file}, flip ${i}`, () => test.tryFlip(file, i)];
}

/** @param {FaultTest} test @param {string} kind */
function trialsOf(test, kind) {
  if (kind === "cut" || kind === "power") return disksOf(test, kind);
  return faultsOf(test, /** @type {"kill" | "full" | "full-once"} */ (kind));
}

const { cellsam, faults, flips } = await scenarios(folder);
try {
  for (const [name, scenario] of Object.entries(faults)) {
    const kinds = values.kind.filter((kind) => kind !== "flips");
    if (!chosen(name) || kinds.length === 0) continue;
    for (const kind of kinds) {
      if (stopping) break;
      const test = await FaultTest.of(cellsam, await scenario()); // each uses up the disk of one
      console.log(`${name}: ${test.count} operations, of which ${test.places.length} are told apart`);
      await tryAll(`${name}, ${kind}`, trialsOf(test, kind));
    }
  }
  for (const [name, scenario] of Object.entries(flips)) {
    if (chosen(name) && values.kind.includes("flips"))
      await tryAll(`${name}, flips`, flipsOf(await FlipTest.of(cellsam, await scenario())));
  }
} finally {
  cellsam.end();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${total.faults} faults, ${total.refused} refused with a code, ${total.wrong} wrong ends`);
process.exitCode = total.wrong > 0 ? 1 : 0;
