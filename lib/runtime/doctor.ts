/**
 * `cellsam doctor`: what this installation found and whether it works, check by check, each failure with the command that
 * mends it. Loading native code is tried in a child process, since a bad library can end a process.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CellsamError } from "../errors.js";
import { fileHash } from "../fileHash.js";
import { resolveEngine } from "./engine.js";
import { type Libtorch, resolveLibtorch } from "./resolve.js";

export interface Check {
  name: string;
  ok: boolean;
  /** What was found. */
  found: string;
  /** The command or step that mends it. */
  mend?: string;
}

export interface Diagnosis {
  ok: boolean;
  checks: Check[];
}

export interface DoctorOptions {
  packageRoot: string;
  /** Module that the child process imports to load the engine and answer its `info`. */
  nativeModule: string;
  env?: NodeJS.ProcessEnv;
}

export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const env = options.env ?? process.env;
  const checks: Check[] = [nodeCheck(), machineCheck()];

  let libtorch: Libtorch | null = null;
  try {
    libtorch = resolveLibtorch({ env });
    checks.push({
      name: "libtorch",
      ok: true,
      found: `${libtorch.version} (${libtorch.variant}) in ${libtorch.path}, from ${libtorch.source}`,
    });
  } catch (error) {
    checks.push({ name: "libtorch", ok: false, found: messageOf(error), mend: "npx cellsam setup" });
  }
  if (libtorch?.source === "cache") checks.push(await checksumCheck(libtorch));
  if (libtorch) {
    try {
      const engine = resolveEngine(options.packageRoot, libtorch);
      checks.push({ name: "engine", ok: true, found: `for torch ${engine.torch}: ${engine.path}` });
    } catch (error) {
      checks.push({
        name: "engine",
        ok: false,
        found: messageOf(error),
        mend: "npx cellsam setup (or npm run build in a checkout)",
      });
    }
    if (checks.every((check) => check.ok)) checks.push(...(await loadChecks(options, env)));
  }
  return { ok: checks.every((check) => check.ok), checks };
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { name: "node", ok, found: process.version, ...(ok ? {} : { mend: "install Node.js 20.19 or newer" }) };
}

function machineCheck(): Check {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  const libc = report?.header?.glibcVersionRuntime;
  const linux = process.platform === "linux";
  const found =
    `${process.platform}-${process.arch}${linux ? `, ${libc ? `glibc ${libc}` : "musl"}` : ""}, ` +
    `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const musl = linux && !libc;
  return { name: "machine", ok: !musl, found, ...(musl ? { mend: "use a glibc system: PyTorch has no musl build" } : {}) };
}

/** Compares the libraries with what setup wrote down. */
async function checksumCheck(libtorch: Libtorch): Promise<Check> {
  const ready = JSON.parse(readFileSync(join(libtorch.path, "READY.json"), "utf8")) as { files?: Record<string, string> };
  const files = Object.entries(ready.files ?? {});
  for (const [name, expected] of files) {
    let found: string;
    try {
      found = await fileHash(join(libtorch.path, name));
    } catch (error) {
      return { name: "libraries", ok: false, found: messageOf(error), mend: "npx cellsam setup --force" };
    }
    if (found !== expected) {
      return { name: "libraries", ok: false, found: `${name} is not what setup stored`, mend: "npx cellsam setup --force" };
    }
  }
  return { name: "libraries", ok: true, found: `${files.length} files as stored` };
}

async function loadChecks(options: DoctorOptions, env: NodeJS.ProcessEnv): Promise<Check[]> {
  const script =
    `import(${JSON.stringify(options.nativeModule)}).then((native) => ` +
    `require("node:fs").writeSync(1, JSON.stringify({ info: native.engineCall("info"), driver: native.driverInfo() })))`;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], { env, timeout: 60_000 });
    const { info, driver } = JSON.parse(stdout) as {
      info: {
        torch: string;
        cpu_capability: string;
        devices: { kind: string; name: string }[];
        cuda_kernels: string[] | string;
      };
      driver: { cuda: string; devices: { name: string }[] } | null;
    };
    const devices = info.devices.map((device) => (device.kind === "cpu" ? "cpu" : device.name)).join(", ");
    const load = { name: "load", ok: true, found: `torch ${info.torch}, ${info.cpu_capability}, devices: ${devices}` };
    if (!driver) return [load, { name: "gpu", ok: true, found: "no GPU driver" }];
    const found = `${driver.devices.map(({ name }) => name).join(", ")}, driver for CUDA ${driver.cuda}`;
    const usable = info.devices.some(({ kind }) => kind === "cuda");
    const gpu: Check = { name: "gpu", ok: true, found };
    if (!usable) return [load, { ...gpu, mend: "npx cellsam setup, for a libtorch that uses it" }];
    // Without our own kernels torch's operators do the same work, only slower: nothing is broken.
    const { cuda_kernels: kernels } = info;
    const own = Array.isArray(kernels) ? `own: ${kernels.join(", ")}` : `torch's only: ${kernels}`;
    return [load, gpu, { name: "kernels", ok: true, found: own }];
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr || messageOf(error)).trim();
    // The message of the native layer for a half of the package that is not there.
    const mend = text.includes("could not be loaded for")
      ? "npm install (or npm run build in a checkout)"
      : "npx cellsam setup --force";
    return [{ name: "load", ok: false, found: text.split("\n").slice(-3).join(" "), mend }];
  }
}

function messageOf(error: unknown): string {
  if (error instanceof CellsamError) return error.message.split("\n")[0] as string;
  return error instanceof Error ? error.message : String(error);
}
