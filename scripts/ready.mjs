/**
 * Prepares a fresh clone: npm packages, libtorch with headers, both binaries. Each step prints what it does, is skipped when it
 * is done already, and names the system package that is missing.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, freemem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { enterVisualStudio, installVisualStudio } from "./visualStudio.mjs";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Runs a command in the checkout with its output shown; ends the process with its code when it fails.
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnSyncOptions} options
 */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (result.error) fail(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/**
 * @param {string} message
 * @returns {never}
 */
export function fail(message) {
  console.error(`\n${message}`);
  process.exit(3);
}

/** @param {string} command */
function has(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

/**
 * How npm is called: by its own script where npm started this process, since on Windows the npm of the path is a command file,
 * which needs a shell.
 * @template {object} O
 * @param {string[]} args
 * @param {O} options
 * @returns {[command: string, args: string[], options: O & { shell?: boolean }]}
 */
export function npmCall(args, options) {
  const script = process.env.npm_execpath ?? "";
  if (/npm-cli\.c?js$/.test(script)) return [process.execPath, [script, ...args], options];
  if (process.platform === "win32") return [["npm", ...args].join(" "), [], { ...options, shell: true }];
  return ["npm", args, options];
}

function requireSystem() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node.js 20.19 or newer is needed, this is ${process.version}.`);
  if (process.platform === "win32") return requireWindows();
  const missing = [];
  if (!has("c++") && !has("g++") && !has("clang++")) missing.push("a C++20 compiler (Debian, Ubuntu: g++)");
  if (!has("cmake")) missing.push("CMake 3.22 or newer (cmake)");
  if (!has("make") && !has("ninja")) missing.push("make or ninja (make)");
  if (missing.length > 0) {
    fail(
      `To build from a checkout these are missing:\n${missing.map((line) => `  ${line}`).join("\n")}\n` +
        "On Debian or Ubuntu: sudo apt-get install g++ cmake make\nOn macOS: xcode-select --install && brew install cmake",
    );
  }
}

function requireWindows() {
  const missing = enterVisualStudio() ? [] : ["Visual Studio 2022, or its Build Tools, with C++"];
  missing.push(...["clang-cl", "cmake", "ninja"].filter((command) => !has(command)));
  if (missing.length === 0) return;
  const list = missing.map((line) => `  ${line}`).join("\n");
  fail(`To build from a checkout these are missing:\n${list}\nThey all come with: ${installVisualStudio}`);
}

/** npm ci when node_modules is absent or older than the lock file. */
function packages() {
  const installed = join(root, "node_modules", ".package-lock.json");
  const lock = join(root, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  console.log("Installing npm packages: about half a minute");
  run(...npmCall(["ci", "--no-audit", "--no-fund"], {}));
}

/** Number of files that are compiled at the same time: two of the larger ones take about 3 GB of memory together. */
export function buildJobs() {
  const memoryPerJob = 1.5 * 2 ** 30;
  return Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / memoryPerJob)));
}

/** The libtorch that the package finds; an empty string without one. Needs dist/. */
export function foundLibtorch() {
  const script =
    "const { resolveLibtorch } = await import('./dist/runtime/resolve.js');" +
    "try { console.log(resolveLibtorch().path) } catch (e) { if (e.code !== 'ERR_LIBTORCH_NOT_FOUND') throw e }";
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, encoding: "utf8" });
  if (result.status !== 0) fail(result.stderr.trim());
  return result.stdout.trim();
}

/** The libtorch that the package finds, else one that `cellsam setup` fetches; always with headers. */
function libtorch() {
  let folder = foundLibtorch();
  if (!folder || !existsSync(join(folder, "include"))) {
    if (folder && process.env.CELLSAM_LIBTORCH) fail(`${folder} has no include/: name a libtorch with headers.`);
    console.log("Fetching libtorch: about 200 MB, once for all projects of this user");
    run(process.execPath, ["dist/cli/main.js", "setup", "--variant", "cpu", "--headers"]);
    folder = foundLibtorch();
  }
  return folder;
}

/** CPU minutes of a clean build, measured with GCC 12 on a 2-core virtual machine (AMD Zen 4). */
const buildMinutes = { engine: 7, tests: 6 };

/**
 * Skips the build when sources and libtorch are those of the last one.
 * @param {string} folder
 * @param {boolean} tests
 */
function build(folder, tests) {
  const stamp = join(root, "build", "ready.json");
  const state = JSON.stringify({ folder, tests, sources: sourcesState() });
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === state) return;
  const jobs = buildJobs();
  const minutes = Math.ceil((buildMinutes.engine + (tests ? buildMinutes.tests : 0)) / jobs);
  const first = existsSync(stamp) ? "what has changed" : `about ${minutes} minutes the first time`;
  console.log(`Compiling the engine${tests ? " and the native tests" : ""} with ${jobs} jobs: ${first}`);
  run(process.execPath, ["scripts/build.mjs", "--libtorch", folder, ...(tests ? ["--tests"] : [])]);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, state);
}

/** A fingerprint of all native sources by their names and times. */
function sourcesState() {
  const files = ["CMakeLists.txt"];
  for (const folder of ["native", "build/generated", "test/native", "test/parity"]) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (/\.(cc|h|inc|cu)$/.test(name)) files.push(join(folder, name));
    }
  }
  return files.sort().map((file) => `${file}:${statSync(join(root, file)).mtimeMs}`);
}

/** Brings all that a build needs, the npm packages, dist/ and libtorch, and returns the libtorch folder. */
export function prepare() {
  requireSystem();
  packages();
  run(process.execPath, ["scripts/compile.mjs"]);
  return libtorch();
}

/** Prepares the checkout, builds it, and returns the libtorch folder. `tests`: also builds the native test programs. */
export function ready({ tests = false } = {}) {
  const folder = prepare();
  build(folder, tests);
  return folder;
}
