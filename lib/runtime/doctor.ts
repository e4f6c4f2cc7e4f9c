/**
 * `cellsam doctor`: what this installation found and whether it works, check by check, each failure with the command that mends
 * it. Native code runs in a child process, since a bad library can end a process. The child prints a line for each step that
 * succeeded, so the first line that is missing names the step that failed.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { CellsamError } from "../errors.js";
import { fileHash } from "../files/fileHash.js";
import { endedBy } from "../processEnd.js";
import { resolveEngine } from "./engine.js";
import { besidesSetup, type Libtorch, resolveLibtorch } from "./resolve.js";
import { compareVersions } from "./setup.js";
import { systemMemory } from "./systemMemory.js";
import { minimumCuda } from "./variants.js";
import { installVisualCpp, missingVisualCpp } from "./visualCpp.js";

export interface Check {
  name: string;
  ok: boolean;
  /** What was found. */
  found: string;
  /** The command or step that mends it; for a check that is ok, one that would use more of the machine. */
  mend?: string;
}

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
  /** Program that the child process runs: it prints one JSON line for each `ProbeLine` below. */
  probe: string;
  env?: NodeJS.ProcessEnv;
  /** Stands in for this machine in tests. */
  machine?: Machine;
}

/** What the child process prints, in this order. */
interface ProbeLine {
  driver?: { cuda: string; version: string | null; devices: { name: string; computeCapability: string }[] } | null;
  info?: {
    torch: string;
    cpuCapability: string;
    devices: { kind: string; name: string }[];
    /** Names of the CUDA kernels of this package, or why there are none. */
    cudaKernels: string[] | string;
  };
  /** Seconds of one training step, by device. */
  step?: { device: string; seconds: number };
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
  const whole = libtorch?.source === "cache" ? checksumCheck(libtorch) : null;
  let engine = false;
  if (libtorch) {
    try {
      const { torch, path } = resolveEngine(options.packageRoot, libtorch);
      checks.push({ name: "engine", ok: true, found: `for torch ${torch}: ${path}` });
      engine = true;
    } catch (error) {
      const none = error instanceof CellsamError && error.code === "ERR_NATIVE_LOAD";
      const mend = `${none ? "npm install" : `npx cellsam setup${besidesSetup(libtorch)}`} (or npm run build in a checkout)`;
      checks.push({ name: "engine", ok: false, found: messageOf(error), mend });
    }
  }
  // The libraries are hashed and loaded at the same time: both read the same half gigabyte.
  const [sums, native] = await Promise.all([whole, nativeChecks(options.probe, env, engine ? libtorch : null)]);
  if (sums) checks.push(sums);
  // What is missing from the system, or a damaged library, explains the failure to load.
  const cause = [visualCpp, sums].find((check) => check && !check.ok)?.mend;
  checks.push(...native.map((check) => (cause && !check.ok ? { ...check, mend: cause } : check)));
  return { ok: checks.every((check) => check.ok), checks };
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
    `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${gibibytes(systemMemory().total)} GiB`;
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

/** The driver, and with `libtorch` the load and a training step on each device. */
async function nativeChecks(probe: string, env: NodeJS.ProcessEnv, libtorch: Libtorch | null): Promise<Check[]> {
  const { lines, failure } = await runProbe(probe, env, libtorch !== null);
  const driver = lines.find((line) => "driver" in line)?.driver;
  const info = lines.find((line) => "info" in line)?.info;
  const steps = lines.flatMap(({ step }) => (step ? [step] : []));
  if (driver === undefined) {
    const mend = "npm install (or npm run build in a checkout)";
    return [{ name: "binding", ok: false, found: failure ?? "the check printed nothing", mend }];
  }
  const checks: Check[] = [gpuCheck(driver, libtorch)];
  if (!libtorch) return checks;
  if (!info)
    return [
      ...checks,
      { name: "load", ok: false, found: failure ?? "the check printed nothing", mend: loadMend(libtorch, failure) },
    ];
  const devices = info.devices.map(({ kind, name }) => (kind === "cpu" ? "cpu" : name));
  checks.push({ name: "load", ok: true, found: `torch ${info.torch}, ${info.cpuCapability}, devices: ${devices.join(", ")}` });
  if (info.devices.some(({ kind }) => kind === "cuda")) {
    // Without our own kernels torch's operators do the same work, only slower: nothing is broken.
    const { cudaKernels } = info;
    const found = Array.isArray(cudaKernels) ? `own: ${cudaKernels.join(", ")}` : `torch's only: ${cudaKernels}`;
    checks.push({ name: "kernels", ok: true, found });
  }
  for (const device of devices) {
    const step = steps.find((done) => done.device === device);
    if (step) checks.push({ name: "step", ok: true, found: `one training step on ${device}: ${step.seconds.toFixed(2)} s` });
    else {
      const mend = device === "cpu" ? fetchAgain(libtorch) : "update the GPU driver, or train with --device cpu";
      checks.push({
        name: "step",
        ok: false,
        found: `no training step on ${device}: ${failure ?? "the check printed nothing"}`,
        mend,
      });
      break;
    }
  }
  return checks;
}

function fetchAgain(libtorch: Libtorch): string {
  return `npx cellsam setup${libtorch.source === "cache" ? " --force" : besidesSetup(libtorch)}`;
}

/** A libtorch that setup did not fetch can lack libraries that it needs. */
function loadMend(libtorch: Libtorch, failure: string | null): string {
  const missing = /(lib[^\s:/]+\.so[.\d]*): cannot open shared object file/.exec(failure ?? "")?.[1];
  if (!missing) return fetchAgain(libtorch);
  const holder = "that of pip has CUDA's libraries in packages nvidia-* beside it";
  return `give this libtorch its ${missing} (${holder}; or name its folder in LD_LIBRARY_PATH), or ${fetchAgain(libtorch)}`;
}

/** What there is to train on besides the CPU, and whether this libtorch can. */
function gpuCheck(driver: NonNullable<ProbeLine["driver"]> | null, libtorch: Libtorch | null): Check {
  const besides = libtorch ? besidesSetup(libtorch) : "";
  const needs = libtorch ? minimumCuda[libtorch.variant as keyof typeof minimumCuda] : undefined;
  if (!driver) {
    const advice = needs
      ? { mend: `npx cellsam setup --variant cpu${besides}, for a libtorch without the CUDA part that nothing uses` }
      : {};
    return { name: "gpu", ok: true, found: `no GPU driver${needs ? `, but a libtorch for CUDA ${needs}` : ""}`, ...advice };
  }
  const devices = driver.devices.map(({ name, computeCapability }) => `${name} (compute ${computeCapability})`).join(", ");
  const found = `${devices}, driver ${driver.version ?? "of unknown version"} for CUDA ${driver.cuda}`;
  if (needs && compareVersions(driver.cuda, needs) < 0) {
    const mend = `update the GPU driver, or run npx cellsam setup${besides} for a libtorch that this driver can use`;
    return { name: "gpu", ok: false, found: `${found}, older than the CUDA ${needs} of this libtorch`, mend };
  }
  const advice = libtorch && !needs ? { mend: `npx cellsam setup${besides}, for a libtorch that uses it` } : {};
  return { name: "gpu", ok: true, found, ...advice };
}

/** Runs the child to its end; `failure` is the last line that it wrote to stderr when it failed. */
function runProbe(
  probe: string,
  env: NodeJS.ProcessEnv,
  load: boolean,
): Promise<{ lines: ProbeLine[]; failure: string | null }> {
  return new Promise((resolve) => {
    const args = [probe, ...(load ? ["--load"] : [])];
    execFile(process.execPath, args, { env, timeout: 60_000 }, (error, stdout, stderr) => {
      const lines = stdout
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as ProbeLine);
      const killer = error ? endedBy(typeof error.code === "number" ? error.code : null, error.signal) : null;
      const last = stderr.trim().split(/\r?\n/).at(-1);
      resolve({ lines, failure: error ? (killer ? `ended by ${killer}` : last || error.message) : null });
    });
  });
}

function messageOf(error: unknown): string {
  if (error instanceof CellsamError) return error.message.split("\n")[0] as string;
  return error instanceof Error ? error.message : String(error);
}
