/**
 * `node test/stress/fuzz.mjs FOLDER [--trials N] [--seed S]`: damages the files of a folder and its subfolders, N times (default
 * 10 000) for each extension, and reads each as image, as labels and as table of groups in a process of its own. Prints for each
 * extension the slowest read and the largest memory, and fails for a crash, for a read that takes more than 2 s of the processor,
 * for memory above 500 MB, and for an error without a code.
 */
import { fork } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { crc32 } from "node:zlib";
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

/**
 * A damaged PNG whose chunks have the right checksums again, as far as they can be followed: else nearly all are refused for
 * these, and nothing behind them is tried.
 * @param {Buffer} bytes
 */
function withChecksums(bytes) {
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at); // a chunk: length, type, content, checksum of type and content
    if (end + 4 > bytes.length) break;
    bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, end)), end);
    at = end + 4;
  }
  return bytes;
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

/**
 * Writes a damaged copy of a file, or of a folder (Zarr) in which one file is damaged.
 * @param {string} name @param {string} path @param {InstanceType<typeof Random>} random
 */
function writeDamaged(name, path, random) {
  rmSync(path, { recursive: true, force: true });
  cpSync(name, path, { recursive: true });
  const files = filesIn(path);
  const file = /** @type {string} */ (files[random.integer(0, files.length - 1)]);
  const bytes = damaged(readFileSync(file), random, { most: 4, placeIn: inHeads(random) });
  chmodSync(file, 0o600);
  writeFileSync(file, extname(name) === ".png" && random.integer(0, 1) ? withChecksums(bytes) : bytes);
}

/** The file itself, or those of a folder and its subfolders. @param {string} path */
function filesIn(path) {
  if (!statSync(path).isDirectory()) return [path];
  const all = readdirSync(path, { recursive: true }).map((name) => join(path, String(name)));
  return all.filter((name) => statSync(name).isFile()).sort();
}

/** In the process of one extension. @param {string[]} seeds @param {number} trials @param {number} seed @param {number} first */
async function work(seeds, trials, seed, first) {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-fuzz-"));
  process.on("disconnect", () => process.exit());
  for (let trial = first; trial < trials; trial++) {
    const name = /** @type {string} */ (seeds[trial % seeds.length]);
    const path = join(folder, `case${extname(name)}`);
    const random = new Random(seed + trial);
    writeDamaged(name, path, random);
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
  /** @type {Map<string, Set<string>>} */
  const byExtension = new Map();
  for (const path of positionals.flatMap(filesIn)) {
    const size = statSync(path).size;
    if (size === 0 || size > seedBytes || path.endsWith(".md")) continue;
    const name = /^.*?\.zarr(?=\/)/.exec(path)?.[0] ?? path;
    byExtension.set(extname(name), (byExtension.get(extname(name)) ?? new Set()).add(name));
  }
  let faults = 0;
  for (const [extension, seeds] of byExtension)
    faults += await fuzz(extension, [...seeds], Number(values.trials), Number(values.seed));
  console.log(`${faults} faults`);
  process.exitCode = faults > 0 ? 1 : 0;
}
