// Runs the rows that use the package as a user installs it: decoding, the start of a process, a whole run. The protocol is that
// of native/main.cc: one line of JSON in, one line out.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const rows = {
  decode: () => import("./package_rows/decode.mjs"),
  tiles: () => import("./package_rows/tiles.mjs"),
  startup: () => import("./package_rows/startup.mjs"),
  "whole-run": () => import("./package_rows/whole_run.mjs"),
};

let row;

async function answer(request) {
  const { op } = request;
  if (op === "fixture" || op === "open") {
    const { fixture, open } = await rows[request.row]();
    if (op === "fixture") await fixture(request);
    else row = await open(request);
    global.gc?.();
    writeFileSync("/proc/self/clear_refs", "5"); // from here on the peak counts
    return {};
  }
  if (op === "peak") return { bytes: 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) };
  if (op === "check") return await timed(() => row.check());
  if (op === "run") return await run(request.times ?? 1);
  throw new Error(`unknown op ${op}`);
}

async function run(times) {
  const { wall, cpu, ...parts } = await timed(async () => {
    let last;
    for (let i = 0; i < times; i++) last = await row.run();
    return last;
  });
  return { wall: wall / times, cpu: cpu / times, ...parts };
}

async function timed(work) {
  const wall = performance.now();
  const cpu = cpuSeconds();
  const answer = await work();
  return { ...answer, wall: (performance.now() - wall) / 1e3, cpu: cpuSeconds() - cpu };
}

/** CPU seconds of this process and of its children that have ended; the latter have a resolution of 0.01 s. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1].split(" ");
  return (user + system) / 1e6 + (Number(fields[13]) + Number(fields[14])) / 100;
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = await answer(JSON.parse(line));
  } catch (error) {
    reply = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
process.exit(0);
