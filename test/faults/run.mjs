/**
 * `node test/faults/run.mjs [--every N] [--scenario NAME]... [--mode MODE]...`: a fault at every N-th operation (default: every
 * one), of every mode, in every scenario. Prints each wrong end, and how many faults there were.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compileShim, FaultTest } from "./faults.mjs";
import { scenarios } from "./scenarios.mjs";

const { values } = parseArgs({
  options: {
    every: { type: "string", default: "1" },
    scenario: { type: "string", multiple: true },
    mode: { type: "string", multiple: true, default: ["kill", "full", "full-once"] },
  },
});
const folder = mkdtempSync(join(tmpdir(), "cellsam-faults-"));
let faults = 0;
let wrong = 0;
try {
  const library = compileShim(folder);
  for (const scenario of await scenarios(folder)) {
    if (values.scenario && !values.scenario.includes(scenario.name)) continue;
    const test = new FaultTest(library, scenario, folder);
    console.log(`${scenario.name}: ${test.operations} operations`);
    for (const mode of /** @type {import("./faults.mjs").Mode[]} */ (values.mode)) {
      for (let at = 1; at <= test.operations; at += Number(values.every)) {
        const problem = test.tryAt(mode, at);
        faults += 1;
        if (!problem) continue;
        wrong += 1;
        console.log(problem);
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${faults} faults, ${wrong} wrong ends`);
process.exitCode = wrong > 0 ? 1 : 0;
