/**
 * Runs a command of cellsam again and again with a fault at another operation on its files each time, and says which ends were
 * wrong. Linux only: a small library (shim.c) stands between the process and the system.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const cellsam = join(here, "../../dist/cli/main.js");

/**
 * "kill": the process ends as by kill -9. "full": the disk is full from then on. "full-once": one operation finds it full.
 * @typedef {"kill" | "full" | "full-once"} Mode
 */

/**
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string[]} first arguments of the command that meets the fault; it writes below `out`
 * @property {string[]} again arguments of the command that afterwards does, or completes, the same without a fault
 * @property {string} out
 * @property {string} [before] a folder that `out` is a copy of at the beginning, such as a run to resume
 * @property {RegExp} outcome names of the files, relative to `out`, that must not depend on faults
 */

/** @typedef {{ code: number | null, signal: string | null, stderr: string }} End */

/** Compiles the library and returns its path. @param {string} folder */
export function compileShim(folder) {
  const library = join(folder, "shim.so");
  const { status, stderr } = spawnSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, join(here, "shim.c"), "-ldl"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`shim.c: ${stderr}`);
  return library;
}

/** @param {string[]} args @param {Record<string, string>} [env] @returns {End} */
function run(args, env = {}) {
  const { status, signal, stderr } = spawnSync(process.execPath, [cellsam, ...args], {
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  return { code: status, signal, stderr };
}

/** Hashes of the files that must not depend on faults. @param {Scenario} scenario @returns {Record<string, string>} */
function outcome({ out, outcome: wanted }) {
  if (!existsSync(out)) return {};
  const files = readdirSync(out, { recursive: true })
    .map(String)
    .filter((name) => wanted.test(name))
    .sort();
  return Object.fromEntries(
    files.map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(out, name)))
        .digest("hex"),
    ]),
  );
}

export class FaultTest {
  /** @param {string} library @param {Scenario} scenario @param {string} folder for counters */
  constructor(library, scenario, folder) {
    this.library = library;
    this.scenario = scenario;
    this.counter = join(folder, `${scenario.name}.counter`);
    const end = this.#withFaults("count", 0);
    if (end.code !== 0) throw new Error(`${scenario.name} fails without a fault: ${end.stderr}`);
    /** Operations on files of the undisturbed command. */
    this.operations = Number(readFileSync(this.counter).readBigInt64LE());
    this.expected = outcome(scenario);
    if (Object.keys(this.expected).length === 0) throw new Error(`${scenario.name} has no outcome`);
  }

  /** @param {Mode | "count"} mode @param {number} at */
  #withFaults(mode, at) {
    const { out, first, before } = this.scenario;
    rmSync(out, { recursive: true, force: true });
    rmSync(this.counter, { force: true });
    if (before) cpSync(before, out, { recursive: true });
    else mkdirSync(out, { recursive: true });
    return run(first, {
      LD_PRELOAD: this.library,
      CELLSAM_FAULT_DIR: out,
      CELLSAM_FAULT_COUNTER: this.counter,
      CELLSAM_FAULT_MODE: mode,
      CELLSAM_FAULT_AT: String(at),
    });
  }

  /** What was wrong with the end after a fault at operation `at`; null when nothing was. @param {Mode} mode @param {number} at */
  tryAt(mode, at) {
    const place = `${this.scenario.name}, ${mode} at operation ${at} of ${this.operations}`;
    const end = this.#withFaults(mode, at);
    if (mode === "kill" ? end.signal !== "SIGKILL" && end.code !== 0 : end.signal !== null)
      return `${place}: ended with ${end.signal ?? `code ${end.code}`}\n${end.stderr}`;
    // Nothing says what was wrong, or it is said to be a fault of the program.
    const coded = /^(ERR_(?!UNEXPECTED|INTERNAL)\w+): /m.test(end.stderr);
    if (mode !== "kill" && end.code !== 0 && !coded) return `${place}: an error without a code\n${end.stderr}`;
    const resumed = run(this.scenario.again);
    if (resumed.code !== 0) return `${place}: afterwards code ${resumed.code}\n${resumed.stderr}`;
    const found = outcome(this.scenario);
    const names = new Set([...Object.keys(found), ...Object.keys(this.expected)]);
    const different = [...names].filter((name) => found[name] !== this.expected[name]);
    if (different.length > 0) return `${place}: another outcome in ${different.join(", ")}\n${end.stderr}`;
    const left = readdirSync(this.scenario.out, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith(".tmp"));
    return left.length > 0 ? `${place}: left behind ${left.join(", ")}` : null;
  }
}
