/**
 * Memory of the GPU, of the machine and of this process, in MiB. Works without a GPU: its part is null then. Free memory is what
 * the device reports, so other processes and what torch keeps for later count as used.
 */
import { deviceMemory, driverInfo, emptyDeviceCache, resetDevicePeak } from "../engine/native.js";
import type { Log } from "./log.js";
import { type SystemMemory, systemMemory } from "./systemMemory.js";

const mib = 2 ** 20;

export interface GpuMemoryInfo {
  allocatedMb: number;
  reservedMb: number;
  /** As the device reports it; null where neither torch nor the driver tells. */
  freeMb: number | null;
  totalMb: number;
  /** Used by anybody, of the total. */
  utilizationPercent: number | null;
  maxAllocatedMb: number;
  maxReservedMb: number;
}

export interface SystemMemoryInfo {
  usedMb: number;
  availableMb: number;
  totalMb: number;
  utilizationPercent: number;
  processMb: number;
}

export interface MemorySnapshot {
  time: string;
  label: string;
  stage: string | null;
  epoch: number | null;
  batchIdx: number | null;
  gpu: GpuMemoryInfo | null;
  system: SystemMemoryInfo;
}

/** In bytes; torch's part is null until it has used the device. */
export interface DeviceReading {
  torch: { allocated: number; reserved: number; maxAllocated: number; maxReserved: number; free: number; total: number } | null;
  driver: { total: number; free: number | null } | null;
}

export interface GPUMonitorOptions {
  /** "cpu" looks at no GPU, also on a machine that has one. Default: the first CUDA device, if there is one. */
  device?: string;
  /** Where log lines go; without it nothing is logged, snapshots are kept all the same. */
  log?: Log | undefined;
  enableLogging?: boolean;
  /** The newest ones that are kept. Default 1000. */
  maxSnapshots?: number;
  /** What the numbers are read from. */
  readDevice?: (device: string) => DeviceReading;
  readSystem?: () => SystemMemory;
}

export interface SnapshotPlace {
  label: string;
  stage?: string;
  epoch?: number;
  batchIdx?: number;
}

export class GPUMonitor {
  readonly device: string;
  readonly #log: Log | undefined;
  readonly #max: number;
  readonly #readDevice: (device: string) => DeviceReading;
  readonly #readSystem: () => SystemMemory;
  #snapshots: MemorySnapshot[] = [];
  #peak = { gpuMb: null as number | null, processMb: 0 };

  constructor(options: GPUMonitorOptions = {}) {
    const { device = "cuda", log, enableLogging = true, maxSnapshots = 1000 } = options;
    this.device = device;
    this.#log = enableLogging ? log : undefined;
    this.#max = Math.max(1, maxSnapshots);
    this.#readDevice = options.readDevice ?? readDevice;
    this.#readSystem = options.readSystem ?? systemMemory;
  }

  /** null without a GPU. */
  getGpuMemoryInfo(): GpuMemoryInfo | null {
    if (!this.device.startsWith("cuda")) return null;
    const { torch, driver } = this.#readDevice(this.device);
    const total = torch?.total ?? driver?.total;
    if (total === undefined) return null;
    const free = torch?.free ?? driver?.free ?? null;
    return {
      allocatedMb: (torch?.allocated ?? 0) / mib,
      reservedMb: (torch?.reserved ?? 0) / mib,
      freeMb: free === null ? null : free / mib,
      totalMb: total / mib,
      utilizationPercent: free === null ? null : (100 * (total - free)) / total,
      maxAllocatedMb: (torch?.maxAllocated ?? 0) / mib,
      maxReservedMb: (torch?.maxReserved ?? 0) / mib,
    };
  }

  getSystemMemoryInfo(): SystemMemoryInfo {
    const { total, available, used, process } = this.#readSystem();
    return {
      usedMb: used / mib,
      availableMb: available / mib,
      totalMb: total / mib,
      utilizationPercent: (100 * used) / total,
      processMb: process / mib,
    };
  }

  getMemoryStats(): { gpu: GpuMemoryInfo | null; system: SystemMemoryInfo } {
    return { gpu: this.getGpuMemoryInfo(), system: this.getSystemMemoryInfo() };
  }

  /** Takes a snapshot, keeps it, and logs it as a debug line. */
  logMemory(place: SnapshotPlace): MemorySnapshot {
    const { label, stage = null, epoch = null, batchIdx = null } = place;
    const snapshot = { time: new Date().toISOString(), label, stage, epoch, batchIdx, ...this.getMemoryStats() };
    this.#snapshots.push(snapshot);
    if (this.#snapshots.length > this.#max) this.#snapshots.shift();
    this.#peak.processMb = Math.max(this.#peak.processMb, snapshot.system.processMb);
    if (snapshot.gpu) this.#peak.gpuMb = Math.max(this.#peak.gpuMb ?? 0, snapshot.gpu.maxAllocatedMb);
    this.#log?.debug("cellsam.memory", lines(label, snapshot).join("; "));
    return snapshot;
  }

  /** The summary as log lines of level INFO. */
  logMemorySummary(prefix: string): void {
    for (const line of this.printMemorySummary(prefix)) this.#log?.info("cellsam.memory", line);
  }

  /** The summary's lines, which are the caller's to print: the library writes nothing to the terminal. */
  printMemorySummary(prefix: string): string[] {
    const { gpu, system } = this.logMemory({ label: prefix });
    return lines(prefix, { gpu, system });
  }

  /** Gives memory that torch keeps for later back to the device. */
  clearGpuCache(): void {
    if (this.device.startsWith("cuda")) emptyDeviceCache(this.device);
  }

  /** The peaks start again from what is in use. */
  resetPeakStats(): void {
    this.#peak = { gpuMb: null, processMb: 0 };
    if (this.device.startsWith("cuda")) resetDevicePeak(this.device);
  }

  /** Whether more than so many percent are in use. Defaults 90 and 90. */
  checkMemoryThreshold(gpuPercent = 90, systemPercent = 90): { gpuExceeded: boolean; systemExceeded: boolean } {
    const { gpu, system } = this.getMemoryStats();
    return {
      gpuExceeded: (gpu?.utilizationPercent ?? 0) > gpuPercent,
      systemExceeded: system.utilizationPercent > systemPercent,
    };
  }

  /** The highest of all snapshots: torch's peak on the device, null without one, and this process's resident memory. */
  getPeakUsage(): { gpuMb: number | null; processMb: number } {
    return { ...this.#peak };
  }

  /** Kept snapshots, oldest first; those of a stage or an epoch when asked. */
  getSnapshots({ stage, epoch }: { stage?: string; epoch?: number } = {}): MemorySnapshot[] {
    return this.#snapshots.filter(
      (taken) => (stage === undefined || taken.stage === stage) && (epoch === undefined || taken.epoch === epoch),
    );
  }

  clearSnapshots(): void {
    this.#snapshots = [];
  }

  /** Runs `body` between two snapshots and answers its result with the change of resident and of allocated memory. */
  async scoped<T>(label: string, body: () => Promise<T> | T): Promise<{ result: T; processMb: number; gpuMb: number | null }> {
    const before = this.logMemory({ label: `${label} begin` });
    try {
      const result = await body();
      const { system, gpu } = this.getMemoryStats();
      const gpuMb = gpu && before.gpu ? gpu.allocatedMb - before.gpu.allocatedMb : null;
      return { result, processMb: system.processMb - before.system.processMb, gpuMb };
    } finally {
      this.logMemory({ label: `${label} end` });
    }
  }
}

function lines(prefix: string, { gpu, system }: { gpu: GpuMemoryInfo | null; system: SystemMemoryInfo }): string[] {
  const mb = (value: number) => `${value.toFixed(1)} MiB`;
  const percent = (value: number | null) => (value === null ? "-" : `${value.toFixed(1)}%`);
  const machine = `[${prefix}] System - Used: ${mb(system.usedMb)} | Available: ${mb(system.availableMb)} | Utilization: ${percent(system.utilizationPercent)} | Process: ${mb(system.processMb)}`;
  if (!gpu) return [machine];
  const device = `[${prefix}] GPU - Allocated: ${mb(gpu.allocatedMb)} | Reserved: ${mb(gpu.reservedMb)} | Utilization: ${percent(gpu.utilizationPercent)} | Peak: ${mb(gpu.maxAllocatedMb)}`;
  return [device, machine];
}

function readDevice(device: string): DeviceReading {
  const index = Number(device.slice("cuda:".length) || 0);
  const known = driverInfo()?.devices[index];
  return { torch: deviceMemory(device), driver: known ? { total: known.memory, free: known.free } : null };
}
