/**
 * Finds libtorch on this machine. Nothing is downloaded here; `cellsam setup` (setup.ts) fills the cache.
 */
import { existsSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { CellsamError } from "../errors.js";
import { namesIn, textOrNull } from "../files/read.js";
import { lazily } from "../lazily.js";
import { pythonCommands } from "./python.js";
import { libtorchVersionPinned, minorOf } from "./variants.js";

const childProcess = lazily<typeof import("node:child_process")>("node:child_process");

export type LibtorchSource = "option" | "CELLSAM_LIBTORCH" | "LIBTORCH" | "LIBTORCH_USE_PYTORCH" | "cache";

export interface Libtorch {
  /** Absolute path of the folder with lib/ in it. */
  path: string;
  /** Full version, e.g. "2.13.0". */
  version: string;
  /** "cpu", "cu126", ... from the version string, or else from the libraries that are there. */
  variant: string;
  source: LibtorchSource;
}

/** Environment variables; not as NodeJS.ProcessEnv, since public declarations must do without the types of Node. */
type Environment = Readonly<Record<string, string | undefined>>;

export interface ResolveOptions {
  /** A libtorch folder, or "python" for the torch of the Python on the path. */
  libtorch?: string | undefined;
  /** Stands in for process.env in tests. */
  env?: Environment;
}

/** major.minor of the torch that `cellsam setup` fetches; the cache prefers it. */
const pinnedTorch = minorOf(libtorchVersionPinned);

/**
 * Finds libtorch: the option, CELLSAM_LIBTORCH, LIBTORCH, LIBTORCH_USE_PYTORCH=1, the cache.
 * @throws CellsamError ERR_LIBTORCH_NOT_FOUND, ERR_LIBTORCH_VERSION
 */
export function resolveLibtorch(options: ResolveOptions = {}): Libtorch {
  const env = options.env ?? process.env;
  const looked: string[] = [];
  const named: [LibtorchSource, string | undefined][] = [
    ["option", options.libtorch],
    ["CELLSAM_LIBTORCH", env.CELLSAM_LIBTORCH],
    ["LIBTORCH", env.LIBTORCH],
    ["LIBTORCH_USE_PYTORCH", env.LIBTORCH_USE_PYTORCH === "1" ? "python" : undefined],
  ];
  for (const [source, value] of named) {
    if (!value) continue;
    const folder = value === "python" ? pythonTorch(env) : resolve(value);
    if (!folder) {
      looked.push(`${source}: no Python with torch (set PYTHON to choose one)`);
    } else if (!hasLibtorch(folder)) {
      looked.push(`${source}: ${folder} (no lib/${libraryName("torch_cpu")})`);
    } else {
      return describe(folder, source);
    }
    // A wrong path that the user gave is an error, never a reason to use another libtorch silently.
    throw notFound(looked, source);
  }
  const cache = join(cacheFolder(env), "libtorch");
  const cached = cachedLibtorch(cache);
  if (cached) return cached;
  looked.push("option libtorch, CELLSAM_LIBTORCH, LIBTORCH, LIBTORCH_USE_PYTORCH: not set", `cache: ${cache} (none ready)`);
  throw notFound(looked);
}

/** The folder of CELLSAM_CACHE, else that of the platform: ~/.cache/cellsam-train on Linux (or XDG_CACHE_HOME). */
export function cacheFolder(env: Environment = process.env): string {
  if (env.CELLSAM_CACHE) return resolve(env.CELLSAM_CACHE);
  const home = env.HOME || homedir();
  if (process.platform === "darwin") return join(home, "Library", "Caches", "cellsam-train");
  if (process.platform === "win32") return join(env.LOCALAPPDATA || join(home, "AppData", "Local"), "cellsam-train", "Cache");
  // The XDG rules call a relative XDG_CACHE_HOME invalid, to be ignored.
  const xdg = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : join(home, ".cache");
  return join(xdg, "cellsam-train");
}

/** The file name of a library on this platform, such as libtorch_cpu.so. */
export function libraryName(name: string): string {
  if (process.platform === "win32") return `${name}.dll`;
  return `lib${name}.${process.platform === "darwin" ? "dylib" : "so"}`;
}

/**
 * The version of the libtorch in a folder, read without loading it: build-version (PyTorch's archive), version.py (the Python
 * package) or include/torch/version.h; null when none of them is there.
 */
export function libtorchVersion(folder: string): string | null {
  const archive = textOrNull(join(folder, "build-version"));
  if (archive) return archive.trim();
  const python = textOrNull(join(folder, "version.py"))?.match(/__version__\s*=\s*['"]([^'"]+)['"]/)?.[1];
  if (python) return python;
  for (const header of ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h", "torch/version.h"]) {
    const text = textOrNull(join(folder, "include", header));
    const part = (name: string) => text?.match(new RegExp(`#define TORCH_VERSION_${name} (\\d+)`))?.[1];
    if (part("MAJOR")) return `${part("MAJOR")}.${part("MINOR")}.${part("PATCH")}`;
  }
  return null;
}

/**
 * What to do besides `npx cellsam setup` to use another libtorch: one that is named by an option or variable is preferred to
 * the cache.
 */
export function besidesSetup({ source }: Libtorch): string {
  if (source === "cache") return "";
  return source === "option" ? " and leave out the option libtorch" : ` and unset ${source}`;
}

function hasLibtorch(folder: string): boolean {
  return existsSync(join(folder, "lib", libraryName("torch_cpu")));
}

function describe(folder: string, source: LibtorchSource): Libtorch {
  const version = libtorchVersion(folder);
  if (!version) {
    throw new CellsamError(
      "ERR_LIBTORCH_VERSION",
      `The version of the libtorch in ${folder} is not known: it has no build-version, version.py or include/torch. ` +
        "Name the whole libtorch folder, or run `npx cellsam setup`.",
      { detail: { path: folder, source } },
    );
  }
  const [number = version, label] = version.split("+");
  const guess = existsSync(join(folder, "lib", libraryName("torch_cuda"))) ? "cuda" : "cpu";
  return { path: folder, version: number, variant: label ?? guess, source };
}

/** The newest ready folder of the cache, those of the pinned version first. A folder without READY.json is half written. */
function cachedLibtorch(cache: string): Libtorch | null {
  const found: Libtorch[] = [];
  for (const name of namesIn(cache)) {
    const folder = join(cache, name);
    const named = /^(\d+\.\d+\.\d+)-(\w+)$/.exec(name);
    if (!named || !existsSync(join(folder, "READY.json")) || !hasLibtorch(folder)) continue;
    found.push({ path: folder, version: named[1] as string, variant: named[2] as string, source: "cache" });
  }
  const pinned = (torch: Libtorch) => Number(torch.version.startsWith(`${pinnedTorch}.`));
  const ready = (torch: Libtorch) => statSync(join(torch.path, "READY.json")).mtimeMs;
  found.sort((a, b) => pinned(b) - pinned(a) || ready(b) - ready(a));
  return found[0] ?? null;
}

/** The torch package folder of the first Python that has one; null without. Torch is located, not imported. */
function pythonTorch(env: Environment): string | null {
  const script = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s else '')";
  for (const [python, ...first] of pythonCommands(env)) {
    try {
      const origin = childProcess()
        .execFileSync(python, [...first, "-c", script], {
          encoding: "utf8",
          env,
          stdio: ["ignore", "pipe", "ignore"],
        })
        .trim();
      if (basename(origin) === "__init__.py") return dirname(origin);
    } catch {
      // This Python is not there; the next one may be.
    }
  }
  return null;
}

function notFound(looked: string[], named?: LibtorchSource): CellsamError {
  const first = named ? `Correct what ${named} names, or leave it out. Then, if need be, type` : "Type";
  return new CellsamError(
    "ERR_LIBTORCH_NOT_FOUND",
    `No libtorch was found. ${first}: npx cellsam setup\nLooked at:\n${looked.map((line) => `  ${line}`).join("\n")}`,
    { detail: { looked, named: named ?? null, command: "npx cellsam setup" } },
  );
}
