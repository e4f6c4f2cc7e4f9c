/**
 * `npm run sanitize -- [address] [thread]` (default: both): builds the native binaries and tests with the compiler's sanitizers, each in
 * a folder of its own, runs the native tests and a training of both stages with them, and fails for what they find. Linux, with GCC or
 * clang.
 *
 *   address   AddressSanitizer and UndefinedBehaviorSanitizer, in build/asan/build
 *   thread    ThreadSanitizer, in build/tsan/build
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buildNative } from "./cmakeJs.mjs";
import { buildJobs, fail, prepare, root, run } from "./ready.mjs";

/**
 * @typedef {object} Kind
 * @property {string} sanitizers
 * @property {string} out
 * @property {string} library the compiler's, which a program that is not built with it, as Node.js, loads first
 * @property {boolean} [openmp] all processes load openmp.c
 * @property {{ program: string, says: string }} [proof] a test program with a fault, and what is said of it when it is seen
 * @property {Record<string, string>} env
 * @property {Record<string, string>} training what differs for the training
 * @property {string[]} start words before each command
 */

const suppressions = (/** @type {string} */ name) => `suppressions=${join(root, "scripts", "sanitize", name)}`;
/** @type {Record<string, Kind>} */
const kinds = {
  address: {
    sanitizers: "address,undefined",
    out: "build/asan/build",
    library: "libasan.so",
    env: {
      ASAN_OPTIONS: "detect_stack_use_after_return=1",
      LSAN_OPTIONS: suppressions("leaks.txt"),
      UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
    },
    // Node.js frees nothing at its end.
    training: { ASAN_OPTIONS: "detect_stack_use_after_return=1:detect_leaks=0" },
    start: [],
  },
  thread: {
    sanitizers: "thread",
    out: "build/tsan/build",
    library: "libtsan.so",
    openmp: true,
    proof: { program: "race", says: "data race" },
    // libtorch is not built with it: it cannot judge what is read and written there. One thread has no races.
    env: { TSAN_OPTIONS: "ignore_noninstrumented_modules=1:halt_on_error=1", CELLSAM_TEST_THREADS: "2" },
    training: {},
    // It knows where things lie in memory only while the system does not draw their places from a large space.
    start: ["setarch", "--addr-no-randomize"],
  },
};

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(kinds);
process.env.CMAKE_BUILD_PARALLEL_LEVEL ??= String(buildJobs());
const libtorch = prepare();
for (const name of chosen) {
  const kind = kinds[name] ?? fail(`There is no sanitizer ${name}; known: ${Object.keys(kinds).join(", ")}`);
  build(kind);
  const env = {
    ...process.env,
    ...kind.env,
    ...(kind.openmp && { LD_PRELOAD: compileOpenmp(kind.out) }),
    CELLSAM_LIBTORCH: libtorch,
    CELLSAM_TEST_PROGRAMS: join(root, kind.out, "test"),
    CELLSAM_SKIP_PYTHON: "1",
  };
  expectSeen(kind, env);
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  runNode(
    kind,
    [vitest, "run", "test/native/programs.test.ts", "test/native/weights.test.ts", "--testTimeout", "3600000"],
    env,
  );
  train(kind, env);
}

/** @param {Kind} kind @param {string[]} args @param {NodeJS.ProcessEnv} env */
function runNode({ start }, args, env) {
  const [command = "", ...words] = [...start, process.execPath, ...args];
  run(command, words, { env });
}

/** @param {Kind} kind */
function build({ sanitizers, out }) {
  buildNative(out, { LIBTORCH: libtorch, CELLSAM_TESTS: "ON", CELLSAM_CUDA: "OFF", CELLSAM_SANITIZE: sanitizers });
  run("cmake", ["--build", out, "--target", "programs", "weights"]);
}

/** What hides a fault that is there would hide others too. @param {Kind} kind @param {NodeJS.ProcessEnv} env */
function expectSeen({ proof, start, out }, env) {
  if (!proof) return;
  const [command = "", ...words] = [...start, join(root, out, "test", "programs"), proof.program];
  const { stderr } = spawnSync(command, words, { env: { ...env, LD_LIBRARY_PATH: join(libtorch, "lib") }, encoding: "utf8" });
  if (!stderr.includes(proof.says)) fail(`The fault of test/native/${proof.program}.cc was not seen.\n${stderr}`);
}

/** Trains both stages on drawn images in a Node.js that loads the sanitizer first. @param {Kind} kind @param {NodeJS.ProcessEnv} env */
function train(kind, env) {
  const { out, library, training } = kind;
  const folder = mkdtempSync(join(tmpdir(), "cellsam-sanitize-"));
  try {
    const draw =
      'import { generateSynthetic } from "./dist/data/synthetic.js"; await generateSynthetic(JSON.parse(process.argv[1]));';
    const images = JSON.stringify({ directory: folder, images: 3, size: 64, seed: 1 });
    run(process.execPath, ["--input-type=module", "-e", draw, images]);
    const stage = { total_epochs: 2 };
    const paths = {
      img_path: join(folder, "images"),
      mask_path: join(folder, "masks"),
      output_dir: join(folder, "out"),
      output_name: "run",
    };
    const short = { size: "tiny", device: "cpu", strategy: "train_val_split", stage1_config: stage, stage2_config: stage };
    writeFileSync(join(folder, "train.json"), JSON.stringify({ ...paths, ...short }));
    const engine =
      readdirSync(join(root, out, "Release")).find((file) => file.startsWith("libcellsam_engine-")) ?? fail("no engine");
    // libstdc++ before node's own copy of it, or exceptions cannot be followed.
    const libraries = [library, "libstdc++.so"].map(libraryOfCompiler);
    // node-gyp-build looks for build/Release below what this names.
    const own = { CELLSAM_TRAIN_PREBUILD: dirname(join(root, out)), CELLSAM_ENGINE: join(root, out, "Release", engine) };
    const main = join(root, "dist/cli/main.js");
    runNode(kind, [main, "train", "-c", join(folder, "train.json")], {
      ...env,
      ...own,
      ...training,
      LD_PRELOAD: [...libraries, env.LD_PRELOAD].join(" "),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} name */
function libraryOfCompiler(name) {
  return spawnSync(process.env.CXX ?? "c++", [`-print-file-name=${name}`], { encoding: "utf8" }).stdout.trim();
}

/** Builds openmp.c against the OpenMP library that comes with libtorch. @param {string} out */
function compileOpenmp(out) {
  const folder = join(libtorch, "lib");
  const openmp = readdirSync(folder).find((file) => file.startsWith("libgomp")) ?? fail(`no OpenMP library in ${folder}`);
  const made = join(root, out, "libcellsam_openmp.so");
  const source = join(root, "scripts/sanitize/openmp.c");
  const linked = ["-Wl,--no-as-needed", join(folder, openmp), `-Wl,-rpath,${folder}`];
  run("cc", ["-shared", "-fPIC", "-O1", "-Wall", "-o", made, source, ...linked]);
  return made;
}
