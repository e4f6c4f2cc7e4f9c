/**
 * Memory of the GPU, of the machine and of this process, in MiB, and its log lines. Without a GPU its part is null. Free memory
 * is what the device reports, so memory of other processes, and memory that torch holds in reserve, count as used.
 */
import { deviceMemory, driverInfo, indexOf } from "../engine/native.js";
import { type SystemMemory, systemMemory } from "../runtime/systemMemory.js";

const mib = 2 ** 20;

export interface GpuMemoryInfo {
  allocatedMb: number;
  reservedMb: number;
  /** As the device reports it; null where neither torch nor the driver reports it. */
  freeMb: number | null;
  totalMb: number;
  /** Used by all processes, of the total; null where free is. */
  utilizationPercent: number | null;
  maxAllocatedMb: number;
  maxReservedMb: number;
}

export interface SystemMemoryInfo {
  usedMb: number;
  availableMb: number;
  totalMb: number;
  utilizationPercent: number;
  /** Resident memory of this process. */
  processMb: number;
}

export interface MemoryStats {
  gpu: GpuMemoryInfo | null;
  system: SystemMemoryInfo;
}

/** In bytes; torch's part is null until it has used the device. */
export interface DeviceReading {
  torch: { allocated: number; reserved: number; maxAllocated: number; maxReserved: number; free: number; total: number } | null;
  driver: { total: number; free: number | null } | null;
}

/** What the numbers are read from; tests give their own. */
export interface MemorySources {
  readDevice?: (device: string) => DeviceReading;
  readSystem?: () => SystemMemory;
}

/** Memory of a CUDA device; null for the CPU, and where there is no such device. */
export function gpuMemory(device: string, { readDevice = readGpu }: MemorySources = {}): GpuMemoryInfo | null {
  if (!device.startsWith("cuda")) return null;
  const { torch, driver } = readDevice(device);
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

export function memoryStats(device: string, sources: MemorySources = {}): MemoryStats {
  const { total, available, used, process } = (sources.readSystem ?? systemMemory)();
  const system = {
    usedMb: used / mib,
    availableMb: available / mib,
    totalMb: total / mib,
    utilizationPercent: (100 * used) / total,
    processMb: process / mib,
  };
  return { gpu: gpuMemory(device, sources), system };
}

/** One line for the GPU, if there is one, and one for the machine. */
export function memoryLines(label: string, { gpu, system }: MemoryStats): string[] {
  const mb = (value: number) => `${value.toFixed(1)} MiB`;
  const percent = (value: number | null) => (value === null ? "-" : `${value.toFixed(1)}%`);
  const machine = `[${label}] System - Used: ${mb(system.usedMb)} | Available: ${mb(system.availableMb)} | Utilization: ${percent(system.utilizationPercent)} | Process: ${mb(system.processMb)}`;
  if (!gpu) return [machine];
  const device = `[${label}] GPU - Allocated: ${mb(gpu.allocatedMb)} | Reserved: ${mb(gpu.reservedMb)} | Utilization: ${percent(gpu.utilizationPercent)} | Peak: ${mb(gpu.maxAllocatedMb)}`;
  return [device, machine];
}

function readGpu(device: string): DeviceReading {
  const known = driverInfo()?.devices[indexOf(device)];
  return { torch: deviceMemory(device), driver: known ? { total: known.memory, free: known.free } : null };
}
