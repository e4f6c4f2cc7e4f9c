/** What a bench says of the machine: enough to compare figures, and nothing that names the user, the computer or a folder. */
import { availableParallelism } from "node:os";
import type { EngineInfo } from "../engine/device.js";
import { driverInfo, indexOf, loadEngine } from "../engine/native.js";
import type { Device } from "../engine/session.js";
import { processorName } from "../runtime/systemLoad.js";
import { packageVersion } from "../version.js";
import type { BenchResult } from "./result.js";

export function describeMachine(
  { torch, cpuCapability, cudaKernels }: EngineInfo,
  device: Device,
  busy: number | null,
): Pick<BenchResult, "version" | "measured" | "system" | "device" | "driver" | "torch"> {
  const cpu = processorName();
  const driver = driverInfo();
  const gpu = driver?.devices[indexOf(device)];
  return {
    version: packageVersion,
    measured: new Date().toISOString(),
    system: {
      platform: `${process.platform}-${process.arch}`,
      node: process.version,
      cpu,
      cores: availableParallelism(),
      cpuCapability,
      busy,
    },
    device:
      device === "cpu"
        ? { kind: "cpu", name: cpu, computeCapability: null, memoryGb: null }
        : {
            kind: "cuda",
            name: gpu?.name ?? "unknown",
            computeCapability: gpu?.computeCapability ?? null,
            memoryGb: gpu ? Math.round(gpu.memory / 1e9) : null,
          },
    driver: driver && { version: driver.version, cuda: driver.cuda },
    torch: {
      version: torch,
      variant: loadEngine().libtorch?.variant ?? "unknown",
      // The reason why there are none may hold a path.
      kernels: Array.isArray(cudaKernels) ? cudaKernels : [],
    },
  };
}
