/** The libraries of CUDA beside a libtorch on Linux: which it lacks, and which others the search path puts in their place. */
import { execFileSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { namesIn } from "../files/read.js";
import { neededLibraries } from "./elf.js";
import { libraryName } from "./resolve.js";

/** CUDA's own, which PyTorch's archive holds and pip has in packages of their own; not those of the driver. */
const ofCuda = /^lib(?:cu(?!da\.so)|nv(?!idia-)|nccl)/;

/** The loader opens these by path (native/binding/loader.cc), so that no search path matters. */
const openedByPath = ["c10", "torch_cpu", "torch_cuda"].map(libraryName);

const foldersOf = (env: NodeJS.ProcessEnv) => (env.LD_LIBRARY_PATH ?? "").split(":").filter(Boolean);

/**
 * The libraries of CUDA that a libtorch's CUDA half needs, itself or through others, and that are neither in its folder nor where
 * the system looks. Empty on other systems, and without a CUDA half. `installed` stands in for the system's list in tests.
 */
export function missingCudaLibraries(
  libtorch: string,
  env: NodeJS.ProcessEnv = process.env,
  installed: () => ReadonlySet<string> = systemLibraries,
): string[] {
  const lib = join(libtorch, "lib");
  const first = libraryName("torch_cuda");
  if (process.platform !== "linux" || !existsSync(join(lib, first))) return [];
  const missing = new Set<string>();
  const seen = new Set([first]);
  // A Set hands out what is added while it is read.
  for (const name of seen) {
    const path = join(lib, name);
    if (existsSync(path)) for (const needed of neededLibraries(path) ?? []) seen.add(needed);
    else if (ofCuda.test(name) && !foldersOf(env).some((folder) => existsSync(join(folder, name)))) missing.add(name);
  }
  if (missing.size === 0) return [];
  const system = installed();
  return [...missing].filter((name) => !system.has(name)).sort();
}

/** The names in the cache of the system's loader. */
function systemLibraries(): Set<string> {
  for (const program of ["ldconfig", "/sbin/ldconfig"]) {
    try {
      const listed = execFileSync(program, ["-p"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
      return new Set([...listed.matchAll(/^\s+(\S+) \(/gm)].map(([, name]) => name as string));
    } catch {
      // It is elsewhere, or this system has none.
    }
  }
  return new Set();
}

export interface Shadow {
  name: string;
  /** The file that is loaded in its place. */
  by: string;
}

/** Libraries of a libtorch that others of the same name replace: LD_LIBRARY_PATH precedes the path that libtorch names. */
export function shadowedLibraries(libtorch: string, env: NodeJS.ProcessEnv): Shadow[] {
  if (process.platform !== "linux") return [];
  const lib = join(libtorch, "lib");
  return namesIn(lib)
    .filter((name) => /\.so\b/.test(name) && !openedByPath.includes(name))
    .flatMap((name) => {
      const by = foldersOf(env)
        .map((folder) => join(folder, name))
        .find((path) => existsSync(path));
      return by && realpathSync(by) !== realpathSync(join(lib, name)) ? [{ name, by }] : [];
    });
}
