/**
 * `node test/stress/fuzz.mjs FOLDER [--trials N] [--seed S]`: damages the files of a folder and its subfolders, N times (default
 * 10 000) for each extension, and reads each as image, as labels and as table of groups in a process of its own. Prints for each
 * extension the slowest read and the largest memory, and fails for a crash, for a read that takes more than 2 s of the processor,
 * for memory above 500 MB, and for an error without a code.
 */
import { fork } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { damaged } from "../damaged.mjs";

const { Random } = await import("../../dist/data/random.js");
const { readImage, readLabels } = await import("../../dist/data/reader.js");
const { surveyAnnotation } = await import("../../dist/data/annotationFile.js");
const { readGroups } = await import("../../dist/data/groups.js");

const slowest = 2000;
const largest = 500;
/** Larger seeds would spend the time on reading what is sound. */
const seedBytes = 300_000;

/** @typedef {{ trial: number, ms: number, refused: boolean, fault?: string }} Read */

/** Headers decide what is read: half of the damage is there. @param {InstanceType<typeof Random>} random */
function inHeads(random) {
  return (/** @type {number} */ length) => random.integer(0, (random.integer(0, 1) ? length : Math.min(length, 512)) - 1);
}

/** Reads a file in every way that its content allows. @param {string} path */
async function read(path) {
  /** @type {(() => Promise<unknown>)[]} */
  const ways = [() => readImage(path), () => readLabels(path), () => readLabels(path, { binaryMasks: true, facts: true })];
  ways.push(async () => {
    const { kind, images } = await surveyAnnotation(path);
    return readLabels(path, { annotation: kind, item: images?.[0]?.fileName ?? "", size: [96, 96] });
  });
  if (/\.(csv|tsv|txt|json|ya?ml)$/.test(path)) ways.push(() => readGroups(path, []));
  let refused = 0;
  for (const way of ways) {
    await way().catch((/** @type {Error & { code?: string }} */ error) => {
      refused += 1;
      if (!/^ERR_(IMAGE|ANNOTATION|LABEL|FILE|SPLIT)/.test(error.code ?? "")) throw error;
    });
  }
  return refused === ways.length;
}

/** In the process of one extension. @param {string[]} seeds @param {number} trials @param {number} seed @param {number} first */
async function work(seeds, trials, seed, first) {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-fuzz-"));
  process.on("disconnect", () => process.exit());
  for (let trial = first; trial < trials; trial++) {
    const name = /** @type {string} */ (seeds[trial % seeds.length]);
    const path = join(folder, `case${extname(name)}`);
    const random = new Random(seed + trial);
    writeFileSync(path, damaged(readFileSync(name), random, { most: 4, placeIn: inHeads(random) }));
    const begun = process.cpuUsage();
    /** @type {Read} */
    const result = { trial, ms: 0, refused: false };
    try {
      result.refused = await read(path);
    } catch (error) {
      result.fault = `${name}: ${/** @type {Error} */ (error).stack}`;
    }
    const { user, system } = process.cpuUsage(begun);
    result.ms = (user + system) / 1000;
    await new Promise((sent) => process.send?.(result, () => sent(undefined)));
  }
  rmSync(folder, { recursive: true, force: true });
  process.send?.({ rss: process.resourceUsage().maxRSS / 1024 }, () => process.exit());
}

/** @param {string} extension @param {string[]} seeds @param {number} trials @param {number} seed */
async function fuzz(extension, seeds, trials, seed) {
  const state = { refused: 0, ms: 0, memory: 0 };
  /** @type {string[]} */
  const faults = [];
  for (let next = 0; next < trials; ) {
    const child = fork(fileURLToPath(import.meta.url), [], {
      env: { ...process.env, FUZZ: JSON.stringify({ seeds, trials, seed, next }) },
    });
    let timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    child.on("message", (/** @type {Read & { rss?: number }} */ { trial, ms, refused, fault, rss }) => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
      if (rss !== undefined) {
        state.memory = Math.max(state.memory, rss);
        return;
      }
      next = trial + 1;
      state.refused += refused ? 1 : 0;
      state.ms = Math.max(state.ms, ms);
      if (fault) faults.push(`trial ${trial}: ${fault}`);
      if (ms > slowest) faults.push(`trial ${trial}, ${seeds[trial % seeds.length]}: ${ms.toFixed(0)} ms`);
    });
    const signal = await new Promise((resolve) => child.once("close", (_, killer) => resolve(killer)));
    clearTimeout(timer);
    if (signal || next < trials) faults.push(`trial ${next}, ${seeds[next % seeds.length]}: ${signal ?? "ended"}`);
    if (next < trials) next += 1;
  }
  if (state.memory > largest) faults.push(`${state.memory.toFixed(0)} MB`);
  console.log(
    `${extension}: ${trials} trials of ${seeds.length} files, ${state.refused} refused, slowest ${state.ms.toFixed(0)} ms, ${state.memory.toFixed(0)} MB`,
  );
  for (const fault of faults) console.log(`  ${fault}`);
  return faults.length;
}

if (process.env.FUZZ) {
  const { seeds, trials, seed, next } = JSON.parse(process.env.FUZZ);
  await work(seeds, trials, seed, next);
} else {
  const options = {
    trials: { type: /** @type {const} */ ("string"), default: "10000" },
    seed: { type: /** @type {const} */ ("string"), default: "1" },
  };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  /** @type {Map<string, string[]>} */
  const byExtension = new Map();
  for (const folder of positionals) {
    for (const name of readdirSync(folder, { recursive: true }).map(String)) {
      const path = join(folder, name);
      const info = statSync(path);
      if (!info.isFile() || info.size === 0 || info.size > seedBytes || name.endsWith(".md")) continue;
      byExtension.set(extname(name), [...(byExtension.get(extname(name)) ?? []), path]);
    }
  }
  let faults = 0;
  for (const [extension, seeds] of byExtension)
    faults += await fuzz(extension, seeds, Number(values.trials), Number(values.seed));
  console.log(`${faults} faults`);
  process.exitCode = faults > 0 ? 1 : 0;
}
