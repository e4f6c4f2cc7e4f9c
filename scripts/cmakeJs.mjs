/** The one way by which the native binaries are configured and built: cmake-js, on Windows with clang-cl and Ninja. */
import { join, resolve } from "node:path";
import { root, run } from "./ready.mjs";
import { enterVisualStudio } from "./visualStudio.mjs";

/** Builds everything into `out`/Release; `definitions` are CMake's. */
export function buildNative(out, definitions) {
  const windows = process.platform === "win32";
  enterVisualStudio();
  const all = { ...definitions, ...(windows ? windowsDefinitions(out) : {}) };
  const switches = Object.entries(all).map(([name, value]) => `--CD${name}=${value}`);
  const script = join(root, "node_modules", "cmake-js", "bin", "cmake-js");
  for (const step of [["configure", ...switches], ["build"]]) {
    const call = [script, ...step, "--out", out, ...(windows ? ["--generator", "Ninja"] : [])];
    run(process.execPath, call);
  }
}

function windowsDefinitions(out) {
  return {
    CMAKE_C_COMPILER: "clang-cl",
    CMAKE_CXX_COMPILER: "clang-cl",
    // cmake-js asks for the static runtime; but binding, engine and libtorch hand each other what one of them allocated.
    CMAKE_MSVC_RUNTIME_LIBRARY: "MultiThreadedDLL",
    // cmake-js names `out` itself, below which only Visual Studio's generator makes a Release.
    CMAKE_RUNTIME_OUTPUT_DIRECTORY: join(resolve(root, out), "Release").replaceAll("\\", "/"),
  };
}
