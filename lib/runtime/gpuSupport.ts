/**
 * Which GPUs and drivers each CUDA build of PyTorch runs on, and which build a machine needs. A build holds machine code for
 * some compute capabilities: it runs on GPUs of the same major number from that minor on, and on none of another major. PTX in
 * it is compiled for newer ones by the driver.
 */
import {
  archiveUrl,
  type CudaVariant,
  compareVersions,
  libtorchVersionPinned,
  minorOf,
  supportedTorch,
  type Variant,
} from "./variants.js";

/** What the GPU driver says of itself and its GPUs. */
export interface Driver {
  /** The highest CUDA version that it supports, e.g. "12.8". */
  cuda: string;
  devices: readonly Gpu[];
}

export interface Gpu {
  name: string;
  /** E.g. "9.0". */
  computeCapability: string;
}

interface CudaBuild {
  /** The oldest driver, by the CUDA version that it supports: within a major version, newer toolkits run on older drivers. */
  driver: string;
  capabilities: readonly string[];
  /** Capability of its PTX, which PyTorch's builds have on Linux only. */
  ptx?: string;
}

/**
 * The same in torch 2.11 to 2.14, as far as a torch has them; 11.0 is in those for arm64, which alone has such GPUs. The one to
 * prefer stands first.
 */
const builds: Readonly<Record<CudaVariant, CudaBuild>> = {
  cu130: { driver: "13.0", capabilities: ["7.5", "8.0", "8.6", "9.0", "10.0", "11.0", "12.0"], ptx: "12.0" },
  cu126: { driver: "12.0", capabilities: ["5.0", "6.0", "7.0", "7.5", "8.0", "8.6", "9.0"] },
  cu128: { driver: "12.0", capabilities: ["7.5", "8.0", "8.6", "9.0", "10.0", "12.0"] },
  cu132: { driver: "13.0", capabilities: ["7.5", "8.0", "8.6", "9.0", "10.0", "11.0", "12.0"], ptx: "12.0" },
};

const thisPlatform = () => `${process.platform}-${process.arch}`;

/** The table's row of a variant; undefined for the CPU and for builds that are not PyTorch's own. */
function buildOf(variant: string): CudaBuild | undefined {
  return Object.hasOwn(builds, variant) ? builds[variant as CudaVariant] : undefined;
}

/** The CUDA version that the driver must support; null where a variant has no CUDA or is not known. */
export function driverNeeded(variant: string): string | null {
  return buildOf(variant)?.driver ?? null;
}

/** Whether a build has code for a GPU; true for a build that is not known. */
export function runsOn(variant: string, gpu: Gpu, platform: string = thisPlatform()): boolean {
  const build = buildOf(variant);
  if (!build) return variant !== "cpu";
  const { computeCapability: own } = gpu;
  const major = (capability: string) => capability.split(".")[0];
  return (
    build.capabilities.some((one) => major(one) === major(own) && compareVersions(one, own) <= 0) ||
    (platform.startsWith("linux") && build.ptx !== undefined && compareVersions(build.ptx, own) <= 0)
  );
}

export interface Choice {
  variant: Variant;
  /** What to do about GPUs that it does not run on; null where there are none. */
  advice: string | null;
}

/**
 * The build of a torch (A.B.C) for a machine: of those that its driver can run, the one that runs on the most of its GPUs. "cpu"
 * without a driver, and where no build runs on any of them.
 */
export function chooseVariant(
  driver: Driver | null,
  { torch = libtorchVersionPinned, platform = thisPlatform() }: { torch?: string; platform?: string } = {},
): Choice {
  if (!driver) return { variant: "cpu", advice: null };
  const { devices } = driver;
  const count = (variant: CudaVariant) => devices.filter((gpu) => runsOn(variant, gpu, platform)).length;
  const best = usable(driver.cuda, torch, platform).reduce<CudaVariant | null>(
    (found, next) => (count(next) > (found ? count(found) : 0) ? next : found),
    null,
  );
  const left = devices.find((gpu) => best === null || !runsOn(best, gpu, platform));
  const without = best ? `libtorch (${best}) does not run on` : "no libtorch can use";
  const advice = left
    ? `${without} ${left.name} (compute ${left.computeCapability}): ${wayOut(left, driver, torch, platform)}`
    : null;
  return { variant: best ?? "cpu", advice };
}

/** The CUDA builds of a torch that a driver can run, best first. */
function usable(cuda: string, torch: string, platform: string): CudaVariant[] {
  return known(torch, platform).filter((name) => compareVersions(cuda, builds[name].driver) >= 0);
}

function known(torch: string, platform: string): CudaVariant[] {
  return (Object.keys(builds) as CudaVariant[]).filter((name) => archiveUrl(name, platform, torch) !== null);
}

/** How a GPU that is left out can be used. */
function wayOut(gpu: Gpu, { cuda }: Driver, torch: string, platform: string): string {
  const serves = (name: CudaVariant) => runsOn(name, gpu, platform);
  if (usable(cuda, torch, platform).some(serves)) return "no one build runs on all GPUs of this machine";
  const newer = known(torch, platform)
    .filter(serves)
    .sort((a, b) => compareVersions(builds[a].driver, builds[b].driver))[0];
  const other = supportedTorch.find((minor) => usable(cuda, minor, platform).some(serves));
  const ways = [
    ...(newer ? [`update the GPU driver (it supports CUDA ${cuda}, and ${newer} needs ${builds[newer].driver})`] : []),
    ...(other ? [`npx cellsam setup --torch ${other}.0`] : []),
  ];
  return ways.length > 0 ? ways.join(", or ") : `torch ${minorOf(torch)} for ${platform} has no build for it`;
}
