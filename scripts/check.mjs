/**
 * `npm run check`: rules that no compiler checks. Here are the sizes of files, and the layers of the design, which
 * includes and imports follow; each of the other rules has its own file in check/.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { binaryProblems } from "./check/binaries.mjs";
import { cycleProblems } from "./check/cycles.mjs";
import { errorCodeProblems } from "./check/errorCodes.mjs";
import { pathProblems } from "./check/paths.mjs";
import { releaseProblems } from "./check/release.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** @type {string[]} */
const problems = [];

/**
 * What each room of native/ may include, besides itself, os/, base/ (not binding/) and engine.h.
 * @type {Record<string, string[]>}
 */
const nativeArrows = {
  os: [],
  base: [],
  binding: [],
  kernels: [],
  ops: ["kernels"],
  model: ["ops"],
  loss: ["kernels"],
  augment: ["kernels", "data"],
  data: [],
  optim: [],
  metric: [],
  weights: ["kernels"],
  cuda: [],
  infer: ["model", "data", "metric", "device"],
  device: [],
  cache: ["ops", "model", "data", "weights", "device"],
  dist: ["gloo"],
  train: ["kernels", "model", "loss", "augment", "data", "optim", "weights", "device", "cache", "dist"],
  engine: ["model", "loss", "data", "metric", "weights", "infer", "device", "cache", "dist", "train"],
};

/** The arrows that some include follows: one that none does is no rule. */
const usedArrows = new Set();

/** Layers of lib/, lowest first: a file may import from its own room, and from rooms of lower layers. */
const layers = [
  ["errors"],
  ["events", "inOrder", "lazily", "processEnd", "version"],
  ["compiledFile"],
  ["files", "nearest", "spelling", "settings"],
  ["optionKeys"],
  ["runtime"],
  ["engine"],
  ["distributed"],
  ["data"],
  ["python/files", "stats"],
  ["strategies"],
  ["config"],
  ["monitor", "report"],
  ["predict"],
  ["evaluation"],
  ["pool"],
  ["queue"],
  ["train"],
  ["plan", "bench", "batch"],
  ["search"],
  ["studio"],
  ["python"],
  ["index"],
  ["entry"],
  ["cli"],
];
const layerOf = (/** @type {string} */ room) => layers.findIndex((rooms) => rooms.includes(room));

/** A file of more lines needs a reason, which is given in `longFiles`. */
const longest = 400;
/** @type {Record<string, string>} */
const longFiles = {};

const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter((file) => file && existsSync(join(root, file)));

for (const file of files) {
  if (/^(native|lib|scripts|bench)\/.*\.(cc|h|cu|ts|mjs)$/.test(file)) checkSize(file);
  if (/^native\/.*\.(cc|h|cu)$/.test(file)) checkNative(file);
  if (/^lib\/.*\.ts$/.test(file)) checkLib(file);
}
for (const [room, targets] of Object.entries(nativeArrows)) {
  for (const target of targets) {
    if (!usedArrows.has(`${room} -> ${target}`))
      problems.push(`scripts/check.mjs: no file of native/${room}/ includes ${target}/`);
  }
}
for (const rule of [cycleProblems, errorCodeProblems, pathProblems]) problems.push(...rule(root, files));
problems.push(...binaryProblems(root), ...releaseProblems(root));

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`${files.length} files: all rules hold`);

/** @param {string} file */
function checkSize(file) {
  const lines = readFileSync(join(root, file), "utf8").split("\n").length;
  if (lines > longest && !(file in longFiles)) problems.push(`${file}: ${lines} lines, more than ${longest} without a reason`);
}

/** @param {string} file */
function checkNative(file) {
  if (file === "native/engine.h") return;
  const room = file.split("/")[1] ?? "";
  const text = readFileSync(join(root, file), "utf8");
  if (/at::parallel_for\(/.test(text)) problems.push(`${file}: at::parallel_for runs on one thread here; use base/parallel.h`);
  for (const [, quote, path = ""] of text.matchAll(/^\s*#\s*include\s+(["<])([^">]+)[">]/gm)) {
    const torch = /^(torch|ATen|c10|caffe2)\//.test(path);
    const napi = /^(napi|node_api)/.test(path);
    if (napi && room !== "binding") problems.push(`${file}: includes ${path}, which only binding/ may`);
    if (torch && room === "os") problems.push(`${file}: includes ${path}; os/ is in binding.node too`);
    if (torch && room === "binding") problems.push(`${file}: includes ${path}; binding/ must load without libtorch`);
    if (/^torch\/(torch|all)\.h$/.test(path))
      problems.push(`${file}: includes ${path}, which costs 16 s a file; name the headers`);
    if (quote !== '"' || path === "engine.h" || !path.includes("/")) continue;
    const target = path.split("/")[0] ?? "";
    const everyones = ["base", "settings"].includes(target) && !["binding", "os"].includes(room);
    if (target === room || target === "os" || everyones) continue;
    usedArrows.add(`${room} -> ${target}`);
    if (!nativeArrows[room]?.includes(target)) problems.push(`${file}: ${room} may not include ${path}`);
  }
}

/** @param {string} file */
function checkLib(file) {
  const room = roomOf(file);
  const text = readFileSync(join(root, file), "utf8");
  if (layerOf(room) < 0) problems.push(`${file}: ${room} is in no layer of scripts/check.mjs`);
  if (/binding\.node|node-gyp-build/.test(text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")) && file !== "lib/engine/native.ts") {
    problems.push(`${file}: only lib/engine/native.ts may touch binding.node`);
  }
  // A worker's stdout is the pool's.
  const writes = room === "cli" || file === "lib/pool/serve.ts";
  if (/process\.stdout|console\./.test(text) && !writes) problems.push(`${file}: the library never writes to stdout`);
  for (const [, path = ""] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
    const target = roomOf(normalize(join(dirname(file), path)));
    if (target === room) continue;
    if (layerOf(target) < 0 || layerOf(target) >= layerOf(room))
      problems.push(`${file}: ${room} may not import ${path} (${target})`);
  }
}

/**
 * The room of a file of lib/, or the file itself where it has a layer of its own.
 * @param {string} file
 */
function roomOf(file) {
  const path = file.slice("lib/".length).replace(/\.(ts|js)$/, "");
  return layerOf(path) < 0 ? (path.split("/")[0] ?? "") : path;
}
