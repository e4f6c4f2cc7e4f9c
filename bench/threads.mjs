// Measures what a second thread gains and loses on this machine, alone and beside programs that keep a processor busy each:
// node bench/threads.mjs --images FOLDER [--size tiny] [--spins 0,1000,20000] [--busy 0,1,2]. Prints a Markdown table. Run it on
// a machine with nothing else to do; needs a built checkout (`npm run build`).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    images: { type: "string" },
    size: { type: "string", default: "tiny" },
    spins: { type: "string", default: "0,1000,20000" },
    busy: { type: "string", default: "0,1,2" },
    seconds: { type: "string", default: "5" },
  },
});
const { images, size, seconds } = values;
const main = resolve(import.meta.dirname, "../dist/cli/main.js");
/** @param {string} text */
const numbers = (text) => text.split(",").map(Number);

/**
 * What the command printed, and the seconds that it took.
 * @param {string[]} args
 * @param {string} spin
 */
async function cellsam(args, spin) {
  const start = performance.now();
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, GOMP_SPINCOUNT: spin },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let out = "";
  for await (const chunk of child.stdout) out += chunk;
  if (child.exitCode === null) await once(child, "close");
  if (child.exitCode !== 0) throw new Error(`cellsam ${args.join(" ")} ended with ${child.exitCode}`);
  return { out, seconds: (performance.now() - start) / 1000 };
}

/**
 * Programs that compute until they are stopped, or this one has ended.
 * @param {number} count
 */
function busy(count) {
  const loop = "const parent = process.ppid; while (process.ppid === parent) for (let i = 0; i < 1e8; i++);";
  const loops = Array.from({ length: count }, () => spawn(process.execPath, ["-e", loop]));
  return () => {
    for (const program of loops) program.kill();
  };
}

/**
 * Images a second of each kind of work.
 * @param {number} threads
 * @param {number} spin
 * @returns {Promise<Record<string, number>>}
 */
async function speeds(threads, spin) {
  const how = ["--size", size, "--device", "cpu", "--threads", `${threads}`];
  const { out } = await cellsam(["bench", ...how, "--batch-size", "4", "--seconds", seconds, "--json"], `${spin}`);
  const { rows } = JSON.parse(out);
  const found = Object.fromEntries(rows.map((/** @type {any} */ row) => [row.name, row.images_per_second]));
  if (images) {
    const folder = mkdtempSync(join(tmpdir(), "cellsam-threads-"));
    const weights = size === "tiny" ? ["--weights", "cellsam-tiny"] : [];
    const run = await cellsam(["predict", images, "--out", join(folder, "out"), ...weights, ...how], `${spin}`);
    rmSync(folder, { recursive: true });
    found["predict a folder"] = readdirSync(images).length / run.seconds;
  }
  return found;
}

console.log(`${cpus()[0]?.model}, ${cpus().length} processors; ${size}; images a second, and the ratio to one thread\n`);
for (const others of numbers(values.busy)) {
  const stop = busy(others);
  const one = await speeds(1, 0);
  const names = Object.keys(one);
  console.log(`| beside ${others} busy programs | ${names.join(" | ")} |\n|${"---|".repeat(names.length + 1)}`);
  console.log(`| one thread | ${names.map((name) => one[name]?.toFixed(2)).join(" | ")} |`);
  for (const spin of numbers(values.spins)) {
    const many = await speeds(0, spin);
    const cells = names.map((name) => `${many[name]?.toFixed(2)} (${((many[name] ?? 0) / (one[name] ?? 1)).toFixed(2)})`);
    console.log(`| all cores, spin ${spin} | ${cells.join(" | ")} |`);
  }
  console.log();
  stop();
}
