/** Configures and builds the native binaries with cmake-js, on Windows with clang-cl and Ninja. */
import { join } from "node:path";
import { root, run } from "./ready.mjs";
import { enterVisualStudio } from "./visualStudio.mjs";

/**
 * Builds everything into `out`/Release; `definitions` are CMake's.
 * @param {string} out
 * @param {Record<string, string>} definitions
 */
export function buildNative(out, definitions) {
  const windows = process.platform === "win32";
  enterVisualStudio();
  const compilers = windows ? { CMAKE_C_COMPILER: "clang-cl", CMAKE_CXX_COMPILER: "clang-cl" } : {};
  const switches = Object.entries({ ...definitions, ...compilers }).map(([name, value]) => `--CD${name}=${value}`);
  const script = join(root, "node_modules", "cmake-js", "bin", "cmake-js");
  for (const step of [["configure", ...switches], ["build"]]) {
    const call = [script, ...step, "--out", out, ...(windows ? ["--generator", "Ninja"] : [])];
    run(process.execPath, call);
  }
}
