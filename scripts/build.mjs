/**
 * `npm run build`: TypeScript into dist/, and the native binaries into build/Release, where node-gyp-build finds them.
 *
 *   --libtorch FOLDER   builds the engine against this libtorch (with include/); default: the one that the package itself finds
 *   --binding           builds binding.node only, without any libtorch
 *   --cuda              insists on libcellsam_cuda; without it that is built when libtorch has CUDA and nvcc is there
 *   --tests             also builds the native test programs into build/test
 *   --bench             also builds the product's side of `npm run bench` into build/bench
 */
import { availableParallelism, freemem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root, run } from "./ready.mjs";

const { values: options } = parseArgs({
  options: {
    libtorch: { type: "string" },
    binding: { type: "boolean" },
    cuda: { type: "boolean" },
    tests: { type: "boolean" },
    bench: { type: "boolean" },
  },
});

// Two of the engine's larger files compiled at once take about 3 GB.
const memoryPerJob = 1.5 * 2 ** 30;
const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / memoryPerJob)));
const env = { ...process.env, CMAKE_BUILD_PARALLEL_LEVEL: process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(jobs) };

run(process.execPath, ["scripts/compile.mjs"]);
const libtorch = options.binding ? "" : (options.libtorch ?? (await found()));
// Configured each time: cmake-js would otherwise build with the libtorch of the last call.
const switches = Object.entries({
  LIBTORCH: libtorch,
  CELLSAM_CUDA: options.cuda ? "ON" : "AUTO",
  CELLSAM_TESTS: options.tests ? "ON" : "OFF",
  CELLSAM_BENCH: options.bench ? "ON" : "OFF",
}).map(([name, value]) => `--CD${name}=${value}`);
cmakeJs("configure", ...switches);
cmakeJs("build");
if (options.tests) run("cmake", ["--build", "build", "--target", "native_tests"], { env });
if (options.bench) run("cmake", ["--build", "build", "--target", "native_bench"], { env });

/** The libtorch of `cellsam setup` or of the environment, by the rules of the package. */
async function found() {
  const { resolveLibtorch } = await import("../dist/runtime/resolve.js");
  try {
    return resolveLibtorch().path;
  } catch (error) {
    console.error(error.message);
    process.exit(3);
  }
}

function cmakeJs(...args) {
  run(process.execPath, [join(root, "node_modules", "cmake-js", "bin", "cmake-js"), ...args, "--out", "build"], { env });
}
