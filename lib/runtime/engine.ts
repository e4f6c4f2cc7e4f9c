/**
 * Chooses the engine binary that fits a libtorch. libtorch's C++ ABI is stable within one major.minor only, so there is one
 * engine per torch version, which its file name states: libcellsam_engine-2.13.so (.dylib on macOS, .dll on Windows).
 */
import { basename, join } from "node:path";
import { CellsamError } from "../errors.js";
import { namesIn } from "../files/read.js";
import { besidesSetup, type Libtorch } from "./resolve.js";
import { minorOf } from "./variants.js";

const enginePattern = /^libcellsam_engine-(\d+\.\d+)\.(?:so|dylib|dll)$/;

/** The torch version (major.minor) in an engine's file name; null without one. */
export function engineTorch(path: string): string | null {
  return enginePattern.exec(basename(path))?.[1] ?? null;
}

/** The folders that may hold engines: the build of a checkout first, then the package's prebuilt ones. */
function engineFolders(packageRoot: string): string[] {
  return [join(packageRoot, "build", "Release"), join(packageRoot, "prebuilds", `${process.platform}-${process.arch}`)];
}

/** An engine, and the torch version (major.minor) that it was built for; null for one that needs no libtorch. */
export interface EngineFile {
  path: string;
  torch: string | null;
}

/**
 * The engine that CELLSAM_ENGINE names; null where it is not set. One without a torch version in its name, such as the fake
 * engine of the tests, needs no libtorch.
 */
export function namedEngine(env: Readonly<Record<string, string | undefined>> = process.env): EngineFile | null {
  const path = env.CELLSAM_ENGINE;
  return path ? { path, torch: engineTorch(path) } : null;
}

/**
 * The package's engine for this libtorch.
 * @throws CellsamError ERR_NATIVE_LOAD, ERR_LIBTORCH_VERSION
 */
export function resolveEngine(packageRoot: string, libtorch: Libtorch): { path: string; torch: string } {
  const wanted = minorOf(libtorch.version);
  const built: string[] = [];
  for (const folder of engineFolders(packageRoot)) {
    for (const file of namesIn(folder)) {
      const torch = engineTorch(file);
      if (torch === wanted) return { path: join(folder, file), torch };
      if (torch) built.push(torch);
    }
  }
  if (built.length === 0) {
    throw new CellsamError(
      "ERR_NATIVE_LOAD",
      "No engine (libcellsam_engine-*) was found. Reinstall the package, or run `npm run build` in a checkout.",
      { detail: { looked: engineFolders(packageRoot) } },
    );
  }
  throw new CellsamError(
    "ERR_LIBTORCH_VERSION",
    `The libtorch in ${libtorch.path} is ${libtorch.version}, but the engine is built for ${built.join(", ")}. ` +
      `Run \`npx cellsam setup\`${besidesSetup(libtorch)} for one that fits, or \`npm run build\` in a checkout to build for yours.`,
    { detail: { libtorch: libtorch.path, version: libtorch.version, built } },
  );
}
