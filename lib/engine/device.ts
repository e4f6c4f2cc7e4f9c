/**
 * Turns the configured device and precision into those to use. "auto" takes the first GPU that works, and warns where there is
 * one that does not.
 */
import { CellsamError } from "../errors.js";
import { driverNeeded, runsOn } from "../runtime/gpuSupport.js";
import { compareVersions } from "../runtime/variants.js";
import { engineCommand } from "./commands.js";
import { type DriverInfo, driverInfo, indexOf, loadEngine } from "./native.js";
import type { Device, Precision } from "./session.js";

/** What the engine says of itself. */
export interface EngineInfo {
  torch: string;
  cpuCapability: string;
  /** Names of the CUDA kernels of this package, or why there are none. */
  cudaKernels: string[] | string;
  /** `precision`: what "auto" means there. */
  devices: { kind: "cpu" | "cuda"; name: string; precision?: Precision }[];
}

export function engineInfo(): EngineInfo {
  return engineCommand("info");
}

/**
 * The device for "auto", "cpu", "cuda" or "cuda:N". `warn` is called for a GPU that cannot be used.
 * @throws CellsamError ERR_CUDA_DRIVER_TOO_OLD when CUDA is asked for and the driver is older than this libtorch's CUDA;
 * ERR_DEVICE_UNAVAILABLE when this libtorch has no code for the GPU.
 */
export async function resolveDevice(device: string, warn: (message: string) => void): Promise<Device> {
  if (device === "cpu") return device;
  const variant = loadEngine().libtorch?.variant;
  const driver = driverInfo();
  if (device !== "auto") {
    requireGpu(driver, variant, device);
    return device as Device;
  }
  const count = engineInfo().devices.filter(({ kind }) => kind === "cuda").length;
  const usable = firstUsable(driver, variant, count);
  if (usable !== null) return usable === 0 ? "cuda" : `cuda:${usable}`;
  if (driver && driver.devices.length > 0) {
    const names = driver.devices.map(({ name }) => name).join(", ");
    warn(
      `the GPU (${names}) cannot be used with the libtorch that was found, so the CPU is: run \`cellsam doctor\` to see why`,
    );
  }
  return "cpu";
}

/** The index of the first of `count` GPUs of the engine that the libtorch has code for; null without one. */
export function firstUsable(driver: DriverInfo | null, variant: string | undefined, count: number): number | null {
  for (let i = 0; i < count; i += 1) {
    const gpu = driver?.devices[i];
    if (!gpu || variant === undefined || runsOn(variant, gpu)) return i;
  }
  return null;
}

/** Without a driver, and with a libtorch for the CPU, the engine's own error message is better, so nothing is thrown here. */
export function requireGpu(driver: DriverInfo | null, variant: string | undefined, device: string): void {
  const needs = driverNeeded(variant ?? "");
  if (!driver || variant === undefined || !needs) return;
  if (compareVersions(driver.cuda, needs) < 0) {
    throw new CellsamError(
      "ERR_CUDA_DRIVER_TOO_OLD",
      `The GPU driver supports CUDA ${driver.cuda}, but this libtorch (${variant}) needs ${needs}. Update the driver, or run ` +
        "`npx cellsam setup` for a libtorch that this driver can use, or train with device cpu.",
      { detail: { driver: driver.version, supports: driver.cuda, needs } },
    );
  }
  const gpu = driver.devices[indexOf(device)];
  if (!gpu || runsOn(variant, gpu)) return;
  throw new CellsamError(
    "ERR_DEVICE_UNAVAILABLE",
    `${device} is ${gpu.name} (compute ${gpu.computeCapability}), for which this libtorch (${variant}) has no code. Run ` +
      "`npx cellsam setup` for one that has, or train with device cpu.",
    { detail: { device, name: gpu.name, computeCapability: gpu.computeCapability, variant } },
  );
}

/** The precision that a session has on this device: "auto" is what the engine says. */
export function resolvePrecision(precision: "auto" | Precision, device: Device): Precision {
  if (precision !== "auto") return precision;
  if (device === "cpu") return "fp32";
  return engineInfo().devices.find(({ name }) => name === `cuda:${indexOf(device)}`)?.precision ?? "fp32";
}
