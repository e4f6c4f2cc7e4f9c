/** The Python module's GPUMonitor: snapshots of the memory in use, peaks, and their log lines. */
import { emptyDeviceCache, resetDevicePeak } from "../engine/native.js";
import type { Log } from "../monitor/log.js";
import {
  type GpuMemoryInfo,
  gpuMemory,
  type MemorySources,
  type MemoryStats,
  memoryLines,
  memoryStats,
  type SystemMemoryInfo,
} from "../monitor/memory.js";

export type { GpuMemoryInfo, SystemMemoryInfo } from "../monitor/memory.js";

export interface MemorySnapshot extends MemoryStats {
  /** ISO 8601, UTC. */
  time: string;
  label: string;
  stage: string | null;
  epoch: number | null;
  batchIdx: number | null;
}

export interface GPUMonitorOptions extends MemorySources {
  /** "cpu" looks at no GPU, also on a machine that has one. Default: the first CUDA device, if there is one. */
  device?: string;
  /** Where log lines go; without it nothing is logged, snapshots are kept all the same. */
  log?: Log | undefined;
  /** Default true. */
  enableLogging?: boolean;
  /** The newest ones that are kept. Default 1000. */
  maxSnapshots?: number;
}

/** What a snapshot is of. */
export interface SnapshotLabels {
  label: string;
  stage?: string;
  epoch?: number;
  batchIdx?: number;
}

/** Reads the memory of a GPU, of the machine and of this process; works without a GPU. */
export class GPUMonitor {
  readonly device: string;
  readonly #log: Log | undefined;
  readonly #max: number;
  readonly #sources: MemorySources;
  #snapshots: MemorySnapshot[] = [];
  #peak = { gpuMb: null as number | null, processMb: 0 };

  constructor(options: GPUMonitorOptions = {}) {
    const { device = "cuda", log, enableLogging = true, maxSnapshots = 1000, ...sources } = options;
    this.device = device;
    this.#log = enableLogging ? log : undefined;
    this.#max = Math.max(1, maxSnapshots);
    this.#sources = sources;
  }

  /** null without a GPU. */
  getGpuMemoryInfo(): GpuMemoryInfo | null {
    return gpuMemory(this.device, this.#sources);
  }

  getSystemMemoryInfo(): SystemMemoryInfo {
    return memoryStats("cpu", this.#sources).system;
  }

  getMemoryStats(): MemoryStats {
    return memoryStats(this.device, this.#sources);
  }

  /** Takes a snapshot, keeps it, and logs it as a debug line. */
  logMemory(labels: SnapshotLabels): MemorySnapshot {
    const { label, stage = null, epoch = null, batchIdx = null } = labels;
    const snapshot = { time: new Date().toISOString(), label, stage, epoch, batchIdx, ...this.getMemoryStats() };
    this.#snapshots.push(snapshot);
    if (this.#snapshots.length > this.#max) this.#snapshots.shift();
    this.#peak.processMb = Math.max(this.#peak.processMb, snapshot.system.processMb);
    if (snapshot.gpu) this.#peak.gpuMb = Math.max(this.#peak.gpuMb ?? 0, snapshot.gpu.maxAllocatedMb);
    this.#log?.debug("cellsam.memory", memoryLines(label, snapshot).join("; "));
    return snapshot;
  }

  /** The summary as log lines of level INFO. */
  logMemorySummary(prefix: string): void {
    for (const line of this.printMemorySummary(prefix)) this.#log?.info("cellsam.memory", line);
  }

  /** Returns the summary's lines, for the caller to print: the library writes nothing to the terminal. */
  printMemorySummary(prefix: string): string[] {
    return memoryLines(prefix, this.logMemory({ label: prefix }));
  }

  /** Returns memory that torch holds in reserve to the device. */
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

  /** The highest of all snapshots, in MiB: torch's peak on the device, null without one, and this process's resident memory. */
  getPeakUsage(): { gpuMb: number | null; processMb: number } {
    return { ...this.#peak };
  }

  /** Kept snapshots, oldest first; only those of a stage or an epoch, when one is named. */
  getSnapshots({ stage, epoch }: { stage?: string; epoch?: number } = {}): MemorySnapshot[] {
    return this.#snapshots.filter(
      (taken) => (stage === undefined || taken.stage === stage) && (epoch === undefined || taken.epoch === epoch),
    );
  }

  clearSnapshots(): void {
    this.#snapshots = [];
  }

  /** Runs `body` between two snapshots. Returns its result, and by how many MiB resident and allocated memory have changed. */
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
