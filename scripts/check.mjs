/**
 * `npm run check`: the rules of the house that no compiler knows. Includes and imports follow the arrows of the design and never
 * lead back to where they began, files stay small, binding.node and the engine know nothing of each other's libraries, binaries remember no build machine.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { cycleProblems } from "./cycles.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const problems = [];

/** What each room of native/ may include, besides itself, os/, base/ (not binding/) and engine.h. */
const nativeArrows = {
  os: [],
  base: [],
  binding: [],
  kernels: [],
  ops: ["kernels"],
  model: ["ops"],
  loss: ["kernels"],
  augment: [],
  data: [],
  optim: [],
  metric: [],
  weights: ["kernels"],
  cuda: [],
  infer: ["model", "data", "metric"],
  device: [],
  cache: ["ops", "model", "data", "weights", "device"],
  train: ["kernels", "model", "loss", "augment", "data", "optim", "weights", "device", "cache"],
  engine: ["model", "loss", "data", "metric", "weights", "infer", "device", "cache", "train"],
};

/** Layers of lib/, lowest first: a file may import from its own room, and from rooms of lower layers. */
const layers = [
  ["errors", "events", "lazily", "processEnd", "version"],
  ["files", "spelling", "settings"],
  ["runtime"],
  ["engine"],
  ["data"],
  ["python/files", "stats"],
  ["strategies"],
  ["config"],
  ["monitor", "report"],
  ["predict"],
  ["evaluation"],
  ["train"],
  ["plan"],
  ["search"],
  ["python"],
  ["index"],
  ["entry"],
  ["cli"],
];
const layerOf = (room) => layers.findIndex((rooms) => rooms.includes(room));

/** A file past this many lines needs a reason, which stands here. */
const longest = 400;
const longFiles = {};

const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter((file) => file && existsSync(join(root, file)));

for (const file of files) {
  if (/^(native|lib|scripts|bench)\/.*\.(cc|h|cu|ts|mjs)$/.test(file)) checkSize(file);
  if (/^native\/.*\.(cc|h|cu)$/.test(file)) checkNative(file);
  if (/^lib\/.*\.ts$/.test(file)) checkLib(file);
}
problems.push(...cycleProblems(root, files));
checkBinaries();
checkRelease();

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`${files.length} files: arrows, sizes and binaries are in order`);

function checkSize(file) {
  const lines = readFileSync(join(root, file), "utf8").split("\n").length;
  if (lines > longest && !(file in longFiles)) problems.push(`${file}: ${lines} lines, more than ${longest} without a reason`);
}

function checkNative(file) {
  if (file === "native/engine.h") return;
  const room = file.split("/")[1];
  const text = readFileSync(join(root, file), "utf8");
  if (/at::parallel_for\(/.test(text)) problems.push(`${file}: at::parallel_for runs on one thread here; use base/parallel.h`);
  for (const [, quote, path] of text.matchAll(/^\s*#\s*include\s+(["<])([^">]+)[">]/gm)) {
    const torch = /^(torch|ATen|c10|caffe2)\//.test(path);
    const napi = /^(napi|node_api)/.test(path);
    if (napi && room !== "binding") problems.push(`${file}: includes ${path}, which only binding/ may`);
    if (torch && room === "os") problems.push(`${file}: includes ${path}; os/ is in binding.node too`);
    if (torch && room === "binding") problems.push(`${file}: includes ${path}; binding/ must load without libtorch`);
    if (/^torch\/(torch|all)\.h$/.test(path))
      problems.push(`${file}: includes ${path}, which costs 16 s a file; name the headers`);
    if (quote !== '"' || path === "engine.h" || !path.includes("/")) continue;
    const target = path.split("/")[0];
    const everyones = ["base", "settings"].includes(target) && !["binding", "os"].includes(room);
    if (target === room || target === "os" || everyones) continue;
    if (!nativeArrows[room]?.includes(target)) problems.push(`${file}: ${room} may not include ${path}`);
  }
}

function checkLib(file) {
  const room = roomOf(file);
  const text = readFileSync(join(root, file), "utf8");
  if (layerOf(room) < 0) problems.push(`${file}: ${room} is in no layer of scripts/check.mjs`);
  if (/binding\.node|node-gyp-build/.test(text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")) && file !== "lib/engine/native.ts") {
    problems.push(`${file}: only lib/engine/native.ts may touch binding.node`);
  }
  if (/process\.stdout|console\./.test(text) && room !== "cli") problems.push(`${file}: the library never writes to stdout`);
  for (const [, path] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
    const target = roomOf(normalize(join(dirname(file), path)));
    if (target === room) continue;
    if (layerOf(target) < 0 || layerOf(target) >= layerOf(room))
      problems.push(`${file}: ${room} may not import ${path} (${target})`);
  }
}

/** The room of a file of lib/, or the file itself where it has a layer of its own. */
function roomOf(file) {
  const path = file.slice("lib/".length).replace(/\.(ts|js)$/, "");
  return layerOf(path) < 0 ? path.split("/")[0] : path;
}

/** RUNPATHs and unwanted dependencies of what was built, where readelf is at hand. */
function checkBinaries() {
  const release = join(root, "build", "Release");
  if (process.platform !== "linux" || !existsSync(release)) return;
  const binaries = execFileSync("ls", [release], { encoding: "utf8" })
    .split("\n")
    .filter((name) => /\.(so|node)$/.test(name));
  for (const name of binaries) {
    const dynamic = execFileSync("readelf", ["-d", join(release, name)], { encoding: "utf8" });
    if (/\((RPATH|RUNPATH)\)/.test(dynamic)) problems.push(`${name}: remembers a library path of the build machine`);
    const torch = /\[lib(torch|c10)/.test(dynamic);
    if (/^libcellsam_engine/.test(name) && /\[lib(torch_cuda|c10_cuda|cuda)/.test(dynamic))
      problems.push(`${name}: depends on CUDA, which only libcellsam_cuda may`);
    if (name === "binding.node" && torch) problems.push(`${name}: depends on libtorch`);
  }
}

/** The release builds an engine for every torch minor that the package supports, and for no other. */
function checkRelease() {
  const file = ".github/workflows/release.yml";
  const list = /supportedTorch = (\[[^\]]*\])/.exec(readFileSync(join(root, "lib", "runtime", "variants.ts"), "utf8"));
  const supported = JSON.parse(list[1]).join(" ");
  const loops = [...readFileSync(join(root, file), "utf8").matchAll(/for torch in ([^;]*);/g)];
  if (loops.length === 0) problems.push(`${file}: builds no engine that this check can find`);
  for (const [, versions] of loops) {
    const minors = versions.replace(/(\d+\.\d+)\.\d+/g, "$1");
    if (minors !== supported) problems.push(`${file}: builds for torch ${minors}, but supportedTorch is ${supported}`);
  }
}
