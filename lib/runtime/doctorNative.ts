/** What native code says to `cellsam doctor`: the GPU driver, libtorch and the engine, and training on each device. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { namesIn } from "../files/read.js";
import { type Alarm, type ProbeLine, type ProbeResult, runProbe, type StepPlan } from "./doctorChild.js";
import { chooseVariant, driverNeeded, runsOn } from "./gpuSupport.js";
import { besidesSetup, type Libtorch } from "./resolve.js";
import { compareVersions } from "./variants.js";

export interface Check {
  name: string;
  ok: boolean;
  /** What was found. */
  found: string;
  /** The command or step that mends it; for a check that is ok, one that would use more of the machine. */
  mend?: string;
}

export interface NativeOptions {
  /** Program that the child process runs. */
  probe: string;
  alarm?: Alarm | undefined;
  env: NodeJS.ProcessEnv;
  /** The libtorch to load; null where there is none that can be. */
  libtorch: Libtorch | null;
}

/** The driver, and with `libtorch` the load and steps of both stages on each device. */
export async function nativeChecks({ probe, env, libtorch, alarm }: NativeOptions): Promise<Check[]> {
  const bytes = libtorch ? bytesOf(join(libtorch.path, "lib")) : 0;
  const result = await runProbe({ probe, env, load: libtorch !== null, bytes, alarm });
  const { lines } = result;
  const driver = lines.find((line) => "driver" in line)?.driver;
  const info = lines.find((line) => "info" in line)?.info;
  const silent = result.failure ?? nothing;
  if (driver === undefined) {
    return [{ name: "binding", ok: false, found: silent, mend: "npm install (or npm run build in a checkout)" }];
  }
  const gpu = gpuCheck(driver, libtorch);
  const checks = [gpu];
  if (!libtorch) return checks;
  if (!info) return [...checks, { name: "load", ok: false, found: silent, mend: loadMend(libtorch, result) }];
  const devices = info.devices.map(({ kind, name }) => (kind === "cpu" ? "cpu" : name));
  checks.push({ name: "load", ok: true, found: `torch ${info.torch}, ${info.cpuCapability}, devices: ${devices.join(", ")}` });
  if (info.devices.some(({ kind }) => kind === "cuda")) {
    // Without our own kernels torch's operators do the same work, only slower: nothing is broken.
    const { cudaKernels } = info;
    const found = Array.isArray(cudaKernels) ? `own: ${cudaKernels.join(", ")}` : `torch's only: ${cudaKernels}`;
    checks.push({ name: "kernels", ok: true, found });
  }
  return [...checks, ...stepChecks(info.steps, libtorch, result, gpu.mend)];
}

/** Of the steps that were announced, up to the first that failed. `gpuMend`: what would make the GPUs usable. */
function stepChecks(steps: readonly StepPlan[], libtorch: Libtorch, result: ProbeResult, gpuMend: string | undefined): Check[] {
  const checks: Check[] = [];
  const done = result.lines.flatMap(({ step }) => step ?? []);
  for (const [i, plan] of steps.entries()) {
    const step = done[i];
    if (!step) {
      const found = `no step of ${named(plan)}: ${result.failure ?? nothing}`;
      return [...checks, { name: "step", ok: false, found, mend: stepMend(plan, libtorch, result, gpuMend) }];
    }
    const speed = `${step.imagesPerSecond.toPrecision(3)} images/s after a first step of ${step.seconds.toFixed(2)} s`;
    checks.push({ name: "step", ok: true, found: `${named(step)}: ${speed}` });
  }
  return checks;
}

const nothing = "the check printed nothing";
const named = ({ stage, device, precision }: StepPlan) => `stage ${stage} on ${device} in ${precision} (size tiny)`;

/** Size of the files of a folder. */
function bytesOf(folder: string): number {
  return namesIn(folder).reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

function fetchAgain(libtorch: Libtorch): string {
  return `npx cellsam setup${libtorch.source === "cache" ? " --force" : besidesSetup(libtorch)}`;
}

/** A libtorch that setup did not fetch can lack libraries that it needs. */
function loadMend(libtorch: Libtorch, { failure, late }: ProbeResult): string {
  if (late)
    return "try again: the disk was very slow. Where it always is, set CELLSAM_CACHE to a folder on another and run npx cellsam setup";
  const missing = /(lib[^\s:/]+\.so[.\d]*): cannot open shared object file/.exec(failure ?? "")?.[1];
  if (!missing) return fetchAgain(libtorch);
  const holder = "pip has CUDA's libraries in packages nvidia-* beside torch: LIBTORCH_USE_PYTORCH=1 uses both in place";
  return `give this libtorch its ${missing} (${holder}; or name its folder in LD_LIBRARY_PATH), or ${fetchAgain(libtorch)}`;
}

function stepMend({ device }: StepPlan, libtorch: Libtorch, { late }: ProbeResult, gpuMend: string | undefined): string {
  if (late) return "try again when the machine is less busy";
  return device === "cpu" ? fetchAgain(libtorch) : (gpuMend ?? "update the GPU driver, or train with --device cpu");
}

/** What there is to train on besides the CPU, and whether this libtorch can. */
function gpuCheck(driver: NonNullable<ProbeLine["driver"]> | null, libtorch: Libtorch | null): Check {
  const besides = libtorch ? besidesSetup(libtorch) : "";
  const variant = libtorch?.variant ?? "";
  const needs = driverNeeded(variant);
  if (!driver) {
    const advice = needs
      ? { mend: `npx cellsam setup --variant cpu${besides}, for a libtorch without the CUDA part that nothing uses` }
      : {};
    return { name: "gpu", ok: true, found: `no GPU driver${needs ? `, but a libtorch for CUDA (${variant})` : ""}`, ...advice };
  }
  const list = (gpus: typeof driver.devices) =>
    gpus.map(({ name, computeCapability }) => `${name} (compute ${computeCapability})`).join(", ");
  const found = `${list(driver.devices)}, driver ${driver.version ?? "of unknown version"} for CUDA ${driver.cuda}`;
  const better = chooseVariant(driver, libtorch ? { torch: libtorch.version } : {});
  const setup = `npx cellsam setup${besides}`;
  if (needs && compareVersions(driver.cuda, needs) < 0) {
    const or = better.variant === "cpu" ? "" : `, or run ${setup} for a libtorch that this driver can use (${better.variant})`;
    return {
      name: "gpu",
      ok: false,
      found: `${found}, older than the CUDA ${needs} of this libtorch`,
      mend: `update the GPU driver${or}`,
    };
  }
  const without = needs ? driver.devices.filter((gpu) => !runsOn(variant, gpu)) : [];
  if (without.length > 0) {
    const mend =
      better.variant === "cpu" || better.variant === variant ? better.advice : `${setup}, which chooses ${better.variant}`;
    const ok = without.length < driver.devices.length;
    return {
      name: "gpu",
      ok,
      found: `${found}; this libtorch (${variant}) has no code for ${list(without)}`,
      mend: mend ?? setup,
    };
  }
  if (!libtorch || variant !== "cpu") return { name: "gpu", ok: true, found };
  const offer = better.variant === "cpu" ? better.advice : `${setup}, for a libtorch that uses it (${better.variant})`;
  return { name: "gpu", ok: true, found, ...(offer && { mend: offer }) };
}
