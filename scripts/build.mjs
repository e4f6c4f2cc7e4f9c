/**
 * `npm run build`: TypeScript into dist/, and the native binaries into build/Release, where node-gyp-build finds them.
 *
 *   --libtorch FOLDER   builds the engine against this libtorch (with include/); default: the one that the package itself finds
 *   --binding           builds binding.node only, without any libtorch
 *   --cuda              requires libcellsam_cuda; by default it is built when libtorch has CUDA and nvcc is there
 *   --tests             also builds the native test programs into build/test
 *   --apart             compiles every source by itself: for work on the C++, where a change then costs half as much
 *   --bench             also builds the product's side of `npm run bench` into build/bench
 */
import { parseArgs } from "node:util";
import { buildNative } from "./cmakeJs.mjs";
import { buildJobs, fail, foundLibtorch, run } from "./ready.mjs";

const { values: options } = parseArgs({
  options: {
    libtorch: { type: "string" },
    binding: { type: "boolean" },
    cuda: { type: "boolean" },
    tests: { type: "boolean" },
    bench: { type: "boolean" },
    apart: { type: "boolean" },
  },
});

process.env.CMAKE_BUILD_PARALLEL_LEVEL ??= String(buildJobs());

run(process.execPath, ["scripts/compile.mjs"]);
if (options.tests) run(process.execPath, ["test/extending/tree.mjs"], { stdio: ["ignore", "ignore", "inherit"] });
const libtorch = options.binding ? "" : (options.libtorch ?? foundLibtorch());
if (!libtorch && !options.binding)
  fail("No libtorch was found: name one with --libtorch, or run `npx cellsam setup --headers`.");
// Configured every time, since cmake-js would otherwise build with the libtorch of the last call.
const definitions = {
  LIBTORCH: libtorch,
  CELLSAM_CUDA: options.cuda ? "ON" : "AUTO",
  CELLSAM_TESTS: options.tests ? "ON" : "OFF",
  CELLSAM_BENCH: options.bench ? "ON" : "OFF",
  CELLSAM_UNITY: options.apart ? "OFF" : "ON",
};
buildNative("build", definitions);
if (options.tests) run("cmake", ["--build", "build", "--target", "native_tests"]);
if (options.bench) run("cmake", ["--build", "build", "--target", "native_bench"]);
