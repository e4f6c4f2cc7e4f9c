/** Turns the configured device into the one to use. "auto" takes a GPU that works, and says so loudly when it could not. */
import { driverInfo, engineCall } from "../native.js";
import type { Device } from "../session.js";

interface EngineInfo {
  devices: { kind: string; name: string; memory: number }[];
}

export async function resolveDevice(device: string, warn: (message: string) => void): Promise<Device> {
  if (device !== "auto") return device as Device;
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
