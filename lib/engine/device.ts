/**
 * Turns the configured device and precision into those to use. "auto" takes a GPU that works, and warns where there is one that
 * does not.
 */
import { CellsamError } from "../errors.js";
import { compareVersions } from "../runtime/setup.js";
import { minimumCuda } from "../runtime/variants.js";
import { type DriverInfo, driverInfo, engineCall, loadEngine } from "./native.js";
import type { Device, Precision } from "./session.js";

interface EngineInfo {
  devices: { kind: string; name: string; precision: Precision }[];
}

/**
 * The device for "auto", "cpu", "cuda" or "cuda:N". `warn` is called for a GPU that cannot be used.
 * @throws CellsamError ERR_CUDA_DRIVER_TOO_OLD when CUDA is asked for and the driver is older than this libtorch's CUDA.
 */
export async function resolveDevice(device: string, warn: (message: string) => void): Promise<Device> {
  if (device === "cpu") return device;
  const { libtorch } = loadEngine();
  if (device !== "auto") {
    requireDriver(driverInfo(), libtorch?.variant);
    return device as Device;
  }
  const { devices } = engineCall<EngineInfo>("info");
  if (devices.some(({ kind }) => kind.startsWith("cuda"))) return "cuda";
  const driver = driverInfo();
  if (driver && driver.devices.length > 0) {
    const names = driver.devices.map(({ name }) => name).join(", ");
    warn(
      `the GPU (${names}) cannot be used with the libtorch that was found, so the CPU is: run \`cellsam doctor\` to see why`,
    );
  }
  return "cpu";
}

/** The precision that a session has on this device: "auto" is what the engine says. */
export function resolvePrecision(precision: "auto" | Precision, device: Device): Precision {
  if (precision !== "auto") return precision;
  if (device === "cpu") return "fp32";
  const { devices } = engineCall<EngineInfo>("info");
  return devices.find(({ name }) => name === (device === "cuda" ? "cuda:0" : device))?.precision ?? "fp32";
}

/** Without a driver, and with a libtorch for the CPU, the engine's own error message is better, so nothing is thrown here. */
export function requireDriver(driver: DriverInfo | null, variant: string | undefined): void {
  const needs = minimumCuda[variant as keyof typeof minimumCuda];
  if (!driver || !needs || compareVersions(driver.cuda, needs) >= 0) return;
  throw new CellsamError(
    "ERR_CUDA_DRIVER_TOO_OLD",
    `The GPU driver supports CUDA ${driver.cuda}, but this libtorch was built for ${needs}. Update the driver, or run ` +
      "`npx cellsam setup` for a libtorch that this driver can use, or train with device cpu.",
    { detail: { driver: driver.version, supports: driver.cuda, needs } },
  );
}
