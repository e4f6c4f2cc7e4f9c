/**
 * `npm run release:prebuild`: fills prebuilds/<platform>-<arch>/ with the binaries for machines without a compiler:
 * binding.node, one engine for each libtorch named, and the CUDA library where one was built; all of them stripped.
 *
 *   --libtorch FOLDER   may be repeated for each torch minor (with include/ and lib/); default: the one that the package finds
 *   --built             uses the engine that `npm run build` made and builds none
 *
 * Everything is built in folders of its own under build/prebuild, so that a checkout's build stays as it is.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { buildNative } from "./cmakeJs.mjs";
import { fail, foundLibtorch, root } from "./ready.mjs";

const { values: options } = parseArgs({
  options: { libtorch: { type: "string", multiple: true }, built: { type: "boolean" } },
});
const folders = options.built ? [] : (options.libtorch ?? [foundLibtorch()].filter(Boolean));
if (!options.built && folders.length === 0) {
  fail("No libtorch was found: name one or more with --libtorch, or run `npx cellsam setup --headers`.");
}
for (const folder of folders) {
  if (!existsSync(join(folder, "include"))) fail(`${folder} has no include/: name a libtorch with headers.`);
}

const work = join(root, "build", "prebuild");
const stage = join(work, "stage"); // takes the place of a checkout: prebuildify looks for build/Release in it
const release = join(stage, "build", "Release");
const target = join(root, "prebuilds", `${process.platform}-${process.arch}`);
rmSync(stage, { recursive: true, force: true });
rmSync(target, { recursive: true, force: true });
mkdirSync(release, { recursive: true });

process.env.CMAKE_BUILD_PARALLEL_LEVEL ??= String(availableParallelism());
// A ccache that makes paths relative would prevent the compiler from replacing them.
process.env.CCACHE_BASEDIR = "";
folders.forEach((folder, index) => {
  const out = join(work, `libtorch-${index}`);
  rmSync(join(out, "Release"), { recursive: true, force: true }); // otherwise an engine of another version would be shipped too
  buildNative(out, { LIBTORCH: folder, CELLSAM_TESTS: "OFF", CELLSAM_RELEASE: "ON" });
  takeLibraries(join(out, "Release"));
});
if (options.built) takeLibraries(join(root, "build", "Release"));

// prebuildify calls node-gyp only; the shim takes its place and calls cmake-js. prebuildify strips binding.node and the
// libraries beside it, and moves them.
const shim = join(root, "scripts", "nodeGypShim.mjs");
const prebuildify = promisify(createRequire(import.meta.url)("prebuildify"));
await prebuildify({
  name: "binding",
  napi: true,
  strip: true,
  targets: [process.versions.node],
  cwd: stage,
  out: root,
  nodeGyp: process.platform === "win32" ? `"${process.execPath}" "${shim}"` : shim,
});
console.log(`prebuilds/${process.platform}-${process.arch}: ${readdirSync(target).sort().join(", ")}`);

/** @param {string} folder */
function takeLibraries(folder) {
  for (const name of readdirSync(folder)) {
    if (/\.(so|dylib|dll)$/.test(name)) copyFileSync(join(folder, name), join(release, name));
  }
}
