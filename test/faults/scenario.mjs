/** A command that is tried with faults: what it begins with, and what must be there at its end. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string[]} first arguments of the command that meets the fault; it writes below `out`
 * @property {string[]} again arguments of the command that afterwards does, or completes, the same without a fault
 * @property {string} out
 * @property {string} [before] a folder that `out` is a copy of at the beginning, such as a run to resume
 * @property {string} [journal] a file in `out` that records the failures of parts of the work, as a search's of its trials
 * @property {RegExp} outcome names of the files, relative to `out`, that must not depend on faults
 */

/** Brings `out` to what it is before the first command. @param {Scenario} scenario */
export function reset({ out, before }) {
  rmSync(out, { recursive: true, force: true });
  if (before) cpSync(before, out, { recursive: true, preserveTimestamps: true });
  else mkdirSync(out, { recursive: true });
}

/** SHA-256 by name of the files in `out` that must not depend on faults. @param {Scenario} scenario @returns {Record<string, string>} */
export function outcomeOf({ out, outcome }) {
  if (!existsSync(out)) return {};
  const files = readdirSync(out, { recursive: true })
    .map(String)
    .filter((name) => outcome.test(name) && statSync(join(out, name)).isFile())
    .sort();
  const hashOf = (/** @type {string} */ name) =>
    createHash("sha256")
      .update(readFileSync(join(out, name)))
      .digest("hex");
  return Object.fromEntries(files.map((name) => [name, hashOf(name)]));
}

/** What is wrong with how a command reported an error; null when nothing is. @param {import("./cellsam.mjs").End} end */
export function wrongReport({ code, signal, stderr }) {
  if (signal) return `ended with ${signal}\n${stderr}`;
  if (/^ {4}at .*:\d+:\d+\)?$/m.test(stderr)) return `a stack\n${stderr}`;
  const coded = /^(?:fold \d+ of \d+: failed, )?ERR_(?!UNEXPECTED|INTERNAL)\w+: /m.test(stderr);
  return code === 0 || coded ? null : `code ${code} without a code of the package\n${stderr}`;
}

/** Makes temporary files two days old: where other processes may be writing, younger ones are left alone. @param {string} folder */
function ageTemporaries(folder) {
  const then = Date.now() / 1000 - 2 * 24 * 3600;
  for (const name of temporariesIn(folder)) utimesSync(join(folder, name), then, then);
}

/** @param {string} folder */
function temporariesIn(folder) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true }).map(String);
  return names.filter((name) => name.endsWith(".tmp"));
}

/**
 * Runs the second command and compares what is there then. `mayRefuse`: an error with a code will do. `spares` tells of a file
 * whether it may differ, given the hash of what was found.
 * @param {import("./cellsam.mjs").Cellsam} cellsam
 * @param {Scenario} scenario
 * @param {Record<string, string>} expected
 * @param {{ mayRefuse: boolean, spares?: (name: string, hash: string | undefined) => boolean }} how
 * @returns {Promise<{ refused: boolean, problem: string | null }>}
 */
export async function afterwards(cellsam, scenario, expected, { mayRefuse, spares = () => false }) {
  ageTemporaries(scenario.out);
  const end = await cellsam.run(scenario.again);
  const answer = (/** @type {string | null} */ problem, refused = false) => ({ refused, problem });
  const wrong = wrongReport(end);
  if (wrong) return answer(`afterwards ${wrong}`);
  const journal = scenario.journal && join(scenario.out, scenario.journal);
  const recorded =
    journal &&
    existsSync(journal) &&
    /"state":"failed".*"code":"ERR_(?!UNEXPECTED|TRIAL_DIED)/.test(readFileSync(journal, "utf8"));
  if (mayRefuse && recorded) return answer(null, true);
  if (end.code !== 0) return mayRefuse ? answer(null, true) : answer(`afterwards code ${end.code}\n${end.stderr}`);
  const found = outcomeOf(scenario);
  const names = new Set([...Object.keys(found), ...Object.keys(expected)]);
  const different = [...names].filter((name) => found[name] !== expected[name] && !spares(name, found[name]));
  if (different.length > 0) return answer(`another outcome in ${different.join(", ")}\n${end.stderr}`);
  const left = temporariesIn(scenario.out);
  return answer(left.length > 0 ? `left behind ${left.join(", ")}` : null);
}
