// Runs the rows that use the package as a user installs it: decoding, the start of a process, a whole run. The protocol is that
// of native/main.cc: one line of JSON in, one line out.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** @import { OpenRequest, PackageRow, Request, Timed } from "./types.js" */

/** @type {Record<string, () => Promise<{ fixture?(request: OpenRequest): Promise<void>, open?(request: OpenRequest): Promise<PackageRow> }>>} */
const rows = {
  decode: () => import("./package_rows/decode.mjs"),
  tiles: () => import("./package_rows/tiles.mjs"),
  startup: () => import("./package_rows/startup.mjs"),
  "whole-run": () => import("./package_rows/whole_run.mjs"),
};

/** @type {PackageRow} */
let row;

/**
 * @param {Request & OpenRequest} request
 * @returns {Promise<object>}
 */
async function reply(request) {
  const { op } = request;
  if (op === "fixture" || op === "open") {
    const { fixture, open } = (await rows[request.row ?? ""]?.()) ?? {};
    if (op === "fixture" && fixture) await fixture(request);
    else if (op === "open" && open) row = await open(request);
    else throw new Error(`no row ${request.row} for ${op}`);
    global.gc?.();
    writeFileSync("/proc/self/clear_refs", "5"); // from here on the peak counts
    return {};
  }
  if (op === "peak") return { bytes: 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) };
  if (op === "check") return await timed(() => row.check());
  if (op === "run") return await run(request.times ?? 1);
  throw new Error(`unknown op ${op}`);
}

/** @param {number} times */
async function run(times) {
  const { wall, cpu, ...parts } = await timed(async () => {
    let last = {};
    for (let i = 0; i < times; i++) last = await row.run();
    return last;
  });
  return { wall: wall / times, cpu: cpu / times, ...parts };
}

/**
 * @param {() => Promise<object>} work
 * @returns {Promise<Timed>}
 */
async function timed(work) {
  const wall = performance.now();
  const cpu = cpuSeconds();
  const parts = await work();
  return { ...parts, wall: (performance.now() - wall) / 1e3, cpu: cpuSeconds() - cpu };
}

/** CPU seconds of this process and of its children that have ended; the latter have a resolution of 0.01 s. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return (user + system) / 1e6 + (Number(fields[13]) + Number(fields[14])) / 100;
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = await reply(JSON.parse(line)).catch((/** @type {Error} */ { message }) => ({ error: message }));
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
process.exit(0);
