/**
 * `cellsam doctor`: what this installation found and whether it works, check by check, each failure with the command that mends
 * it. Here is what files say; doctorNative.ts has what native code says.
 */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { CellsamError } from "../errors.js";
import { fileHash } from "../files/fileHash.js";
import type { Alarm } from "./doctorChild.js";
import { type Check, nativeChecks } from "./doctorNative.js";
import { namedEngine, resolveEngine } from "./engine.js";
import { shadowedLibraries } from "./libraries.js";
import { besidesSetup, type Libtorch, resolveLibtorch } from "./resolve.js";
import { processorName } from "./systemLoad.js";
import { systemMemory } from "./systemMemory.js";
import { minorOf } from "./variants.js";
import { installVisualCpp, missingVisualCpp } from "./visualCpp.js";

export type { Check } from "./doctorNative.js";

export interface Diagnosis {
  ok: boolean;
  checks: Check[];
}

/** The system that binaries are chosen for. */
export interface Machine {
  platform: string;
  arch: string;
  /** Version of glibc; null for musl and on systems without either. */
  glibc: string | null;
}

export interface DoctorOptions {
  packageRoot: string;
  /** Program that the child process runs: it prints the lines of doctorChild.ts. */
  probe: string;
  env?: NodeJS.ProcessEnv;
  /** Stand in for this machine and for its clock in tests. */
  machine?: Machine;
  alarm?: Alarm;
}

/** Runs all checks. Nothing is thrown for what they find. */
export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const env = options.env ?? process.env;
  const machine = options.machine ?? thisMachine();
  const checks: Check[] = [nodeCheck(), machineCheck(machine), cpuCheck()];
  const visualCpp = machine.platform === "win32" ? visualCppCheck(env) : null;
  if (visualCpp) checks.push(visualCpp);

  let libtorch: Libtorch | null = null;
  try {
    libtorch = resolveLibtorch({ env });
    const why = libtorch.source === "cache" ? "the user's cache, as nothing else was named" : libtorch.source;
    checks.push({
      name: "libtorch",
      ok: true,
      found: `${libtorch.version} (${libtorch.variant}) in ${libtorch.path}, by ${why}`,
    });
  } catch (error) {
    checks.push(noLibtorch(error));
  }
  const engine = engineCheck(options.packageRoot, libtorch, env);
  if (engine) checks.push(engine);
  const paths = libtorch ? pathCheck(libtorch, env) : null;
  if (paths) checks.push(paths);
  const native = await nativeChecks({ ...options, env, libtorch: engine?.ok ? libtorch : null });
  // Only now: on a slow disk, reading all of the libraries would keep the child waiting, which reads them too.
  const sums = libtorch?.source === "cache" ? await checksumCheck(libtorch) : null;
  if (sums) checks.push(sums);
  // What is missing from the system or damaged explains a failure; another library in the place of libtorch's may.
  const cause = [visualCpp, sums].find((check) => check && !check.ok)?.mend;
  const mend = ({ name, mend: own }: Check) =>
    cause ?? (paths && name !== "gpu" ? `${paths.mend}; if that does not help, ${own}` : own);
  checks.push(...native.map((check) => (check.ok ? check : { ...check, mend: mend(check) as string })));
  return { ok: checks.every((check) => check.ok), checks };
}

/** Which engine works with this libtorch; null where there is no libtorch to judge by. */
function engineCheck(packageRoot: string, libtorch: Libtorch | null, env: NodeJS.ProcessEnv): Check | null {
  const own = namedEngine(env);
  if (own) {
    const found = `${own.torch ? `for torch ${own.torch}: ` : ""}${own.path}, by CELLSAM_ENGINE`;
    const fault = !existsSync(own.path)
      ? "; there is no such file"
      : own.torch && libtorch && own.torch !== minorOf(libtorch.version)
        ? `; the libtorch is ${libtorch.version}`
        : null;
    if (fault) return { name: "engine", ok: false, found: found + fault, mend: "correct or unset CELLSAM_ENGINE" };
    return { name: "engine", ok: true, found };
  }
  if (!libtorch) return null;
  try {
    const { torch, path } = resolveEngine(packageRoot, libtorch);
    return { name: "engine", ok: true, found: `for torch ${torch}: ${path}` };
  } catch (error) {
    const none = error instanceof CellsamError && error.code === "ERR_NATIVE_LOAD";
    const mend = `${none ? "npm install" : `npx cellsam setup${besidesSetup(libtorch)}`} (or npm run build in a checkout)`;
    return { name: "engine", ok: false, found: messageOf(error), mend };
  }
}

/** A cluster's own CUDA or cuDNN, for instance, that is loaded in the place of libtorch's. Null where there is none. */
function pathCheck(libtorch: Libtorch, env: NodeJS.ProcessEnv): Check | null {
  const shadowed = shadowedLibraries(libtorch.path, env);
  if (shadowed.length === 0) return null;
  const named = shadowed.slice(0, 3).map(({ by }) => by);
  const more = shadowed.length > named.length ? ` and ${shadowed.length - named.length} more` : "";
  return {
    name: "paths",
    ok: true,
    found: `by LD_LIBRARY_PATH ${named.join(", ")}${more} are used in place of libtorch's own`,
    mend: "unset LD_LIBRARY_PATH, or take the folder out of it, unless you mean these",
  };
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { name: "node", ok, found: process.version, ...(ok ? {} : { mend: "install Node.js 20.19 or newer" }) };
}

function thisMachine(): Machine {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return { platform: process.platform, arch: process.arch, glibc: report?.header?.glibcVersionRuntime ?? null };
}

function machineCheck({ platform, arch, glibc }: Machine): Check {
  const linux = platform === "linux";
  const found =
    `${platform}-${arch}${linux ? `, ${glibc ? `glibc ${glibc}` : "musl"}` : ""}, ` +
    `${availableParallelism()} cores (${processorName()}), ${gibibytes(systemMemory().total)} GiB`;
  const musl = linux && !glibc;
  const mend = "use a glibc system, such as the image node:22-slim in place of node:22-alpine: PyTorch has no musl build";
  return { name: "machine", ok: !musl, found, ...(musl ? { mend } : {}) };
}

const gibibytes = (bytes: number) => Number((bytes / 2 ** 30).toPrecision(2));

/** Windows says of a library only that it, or one that it needs, was not found. */
function visualCppCheck(env: NodeJS.ProcessEnv): Check {
  const missing = missingVisualCpp(env);
  if (missing.length === 0) return { name: "runtime", ok: true, found: "the Visual C++ runtime is installed" };
  const found = `the Visual C++ runtime is not installed: ${missing.join(", ")}`;
  return { name: "runtime", ok: false, found, mend: installVisualCpp };
}

/** The instruction sets that the kernels choose between, as Linux lists them. */
function cpuCheck(): Check {
  let flags = "";
  try {
    flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  } catch {
    return { name: "cpu", ok: true, found: "instruction sets are not listed on this system" };
  }
  const has = new Set(flags.trim().split(/\s+/));
  const wanted = ["avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16", "asimd", "bf16"];
  const found = wanted.filter((flag) => has.has(flag)).join(", ");
  return { name: "cpu", ok: true, found: found || "no vector instructions that are used here: training will be slow" };
}

/** What setup writes down about a libtorch. */
interface Ready {
  source?: string;
  sha256?: string | null;
  files?: Record<string, string>;
}

/** Compares the libraries with the checksums that setup wrote down. */
async function checksumCheck(libtorch: Libtorch): Promise<Check> {
  const mend = "npx cellsam setup --force";
  let files: [string, string][];
  let fetched = "";
  try {
    const ready = JSON.parse(readFileSync(join(libtorch.path, "READY.json"), "utf8")) as Ready;
    files = Object.entries(ready.files ?? {});
    if (ready.sha256) fetched = `, from ${ready.source} (SHA-256 ${ready.sha256})`;
  } catch (error) {
    return { name: "libraries", ok: false, found: `READY.json cannot be read: ${messageOf(error)}`, mend };
  }
  for (const [name, expected] of files) {
    let found: string;
    try {
      found = await fileHash(join(libtorch.path, name));
    } catch (error) {
      return { name: "libraries", ok: false, found: messageOf(error), mend };
    }
    if (found !== expected) return { name: "libraries", ok: false, found: `${name} is not what setup stored`, mend };
  }
  return { name: "libraries", ok: true, found: `${files.length} files as stored${fetched}` };
}

function noLibtorch(error: unknown): Check {
  const { looked, named } = error instanceof CellsamError ? error.detail : {};
  const found = Array.isArray(looked) ? `none (${looked.join("; ")})` : messageOf(error);
  const first = named ? `correct or unset ${named}, then ` : "";
  return { name: "libtorch", ok: false, found, mend: `${first}npx cellsam setup` };
}

function messageOf(error: unknown): string {
  if (error instanceof CellsamError) return error.message.split("\n")[0] as string;
  return error instanceof Error ? error.message : String(error);
}
