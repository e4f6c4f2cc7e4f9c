/**
 * `node test/faults/run.mjs [--kind KIND]... [--scenario NAME]... [--every N [--from M]] [--flips N]`: faults of each kind in every
 * scenario. Kinds: kill, full, full-once and power at every N-th telling operation (default: each) from the M-th on (default: 0, the
 * first), flips of N bits (default 4) in each file. Prints each wrong end, and how many faults there were. Ctrl-C ends it after the
 * fault at hand.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FlipTest } from "./bitFlips.mjs";
import { FaultTest } from "./faults.mjs";
import { lostAtEnd, powerLosses, tryDisk } from "./powerLoss.mjs";
import { scenarios } from "./scenarios.mjs";

const { values } = parseArgs({
  options: {
    kind: { type: "string", multiple: true, default: ["kill", "full", "full-once", "power", "flips"] },
    scenario: { type: "string", multiple: true },
    every: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
    flips: { type: "string", default: "4" },
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

/** Tries one fault after another, and says what they came to. @param {string} title @param {Iterable<() => Promise<{ refused?: boolean, problem: string | null }>>} trials */
async function tryAll(title, trials) {
  const sum = { faults: 0, refused: 0, wrong: 0 };
  for (const trial of trials) {
    if (stopping) break;
    const { refused, problem } = await trial();
    sum.faults += 1;
    sum.refused += refused ? 1 : 0;
    sum.wrong += problem ? 1 : 0;
    if (problem) console.log(problem);
  }
  console.log(`${title}: ${sum.faults} faults, ${sum.refused} refused with a code, ${sum.wrong} wrong ends`);
  for (const key of /** @type {const} */ (["faults", "refused", "wrong"])) total[key] += sum[key];
}

/** @param {FaultTest} test */
const placesOf = (test) => test.places.filter((_, i) => i >= from && (i - from) % every === 0);

/** @param {FaultTest} test @param {string} kind */
function* faultsOf(test, kind) {
  const mode = /** @type {"kill" | "full" | "full-once"} */ (kind);
  for (const at of placesOf(test)) yield async () => ({ problem: await test.tryAt(mode, at) });
}

/** @param {FaultTest} test */
function* disksOf(test) {
  const places = placesOf(test);
  for (const loss of powerLosses(test, { places })) yield () => tryDisk(test, loss);
  yield async () => ({ problem: lostAtEnd(test) });
}

/** @param {FlipTest} test */
function* flipsOf(test) {
  for (const file of test.files) for (let i = 1; i <= Number(values.flips); i++) yield () => test.tryFlip(file, i);
}

const { cellsam, faults, flips } = await scenarios(folder);
try {
  for (const [name, scenario] of Object.entries(faults)) {
    const kinds = values.kind.filter((kind) => kind !== "flips");
    if (!chosen(name) || kinds.length === 0) continue;
    const test = await FaultTest.of(cellsam, await scenario());
    console.log(`${name}: ${test.count} operations, of which ${test.places.length} are told apart`);
    for (const kind of kinds) await tryAll(`${name}, ${kind}`, kind === "power" ? disksOf(test) : faultsOf(test, kind));
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
