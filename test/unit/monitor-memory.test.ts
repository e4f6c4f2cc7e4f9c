// Memory of machine, process and GPU: read from files and devices that the test makes up, and once from this machine.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { deviceMemory, emptyDeviceCache, engineCall, loadEngine, resetDevicePeak } from "../../lib/engine/native.js";
import { Log } from "../../lib/monitor/log.js";
import type { DeviceReading } from "../../lib/monitor/memory.js";
import { GPUMonitor } from "../../lib/python/gpuMonitor.js";
import { systemMemory } from "../../lib/runtime/systemMemory.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-memory-"));
afterAll(() => rmSync(folder, { recursive: true }));
const GiB = 2 ** 30;
const MiB = 2 ** 20;

/** A root with these files. */
function machine(name: string, files: Record<string, string>): string {
  const root = join(folder, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const meminfo = "MemTotal:       16777216 kB\nMemFree:          100000 kB\nMemAvailable:    8388608 kB\n";

describe("systemMemory", () => {
  it("asks for what is available, not for what is free", () => {
    expect(systemMemory(machine("plain", { "proc/meminfo": meminfo }))).toMatchObject({
      total: 16 * GiB,
      available: 8 * GiB,
      used: 8 * GiB,
    });
  });

  it("takes a cgroup's limit where it is smaller, and counts cached files as available", () => {
    const two = machine("two", {
      "proc/meminfo": meminfo,
      "sys/fs/cgroup/memory.max": `${4 * GiB}\n`,
      "sys/fs/cgroup/memory.current": `${3 * GiB}\n`,
      "sys/fs/cgroup/memory.stat": `anon 5\ninactive_file ${2 * GiB}\n`,
    });
    expect(systemMemory(two)).toMatchObject({ total: 4 * GiB, available: 3 * GiB, used: GiB });
    const one = machine("one", {
      "proc/meminfo": meminfo,
      "sys/fs/cgroup/memory/memory.limit_in_bytes": `${2 * GiB}`,
      "sys/fs/cgroup/memory/memory.usage_in_bytes": `${GiB}`,
    });
    expect(systemMemory(one)).toMatchObject({ total: 2 * GiB, available: GiB });
    // The limit of a batch job is on an outer group of the process; the process itself has none.
    const job = machine("job", {
      "proc/meminfo": meminfo,
      "proc/self/cgroup": "0::/system.slice/job_7/step_0\n",
      "sys/fs/cgroup/system.slice/job_7/step_0/memory.max": "max\n",
      "sys/fs/cgroup/system.slice/job_7/memory.max": `${3 * GiB}\n`,
      "sys/fs/cgroup/system.slice/job_7/memory.current": `${GiB}\n`,
    });
    expect(systemMemory(job)).toMatchObject({ total: 3 * GiB, available: 2 * GiB });
    const ulimit = machine("ulimit", {
      "proc/meminfo": meminfo,
      "proc/self/limits": `Max address space         ${2 * GiB}           ${2 * GiB}           bytes     \n`,
      "proc/self/status": "Name:\tnode\nVmSize:\t 1048576 kB\n",
    });
    expect(systemMemory(ulimit)).toMatchObject({ total: 2 * GiB, available: GiB });
    const none = machine("none", { "proc/meminfo": meminfo, "sys/fs/cgroup/memory.max": "max\n" });
    expect(systemMemory(none).total).toBe(16 * GiB);
  });

  it.skipIf(!existsSync("/proc/self/status"))("knows this process", () => {
    const kib = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
    expect(systemMemory().process / 1024 / kib).toBeGreaterThan(0.5);
    expect(systemMemory().process / 1024 / kib).toBeLessThan(2);
  });
});

/** 1000 MiB, of which others and torch use 700; torch has 300 in use and keeps 400. */
const reading = (): DeviceReading => ({
  torch: {
    allocated: 300 * MiB,
    reserved: 400 * MiB,
    maxAllocated: 350 * MiB,
    maxReserved: 450 * MiB,
    free: 300 * MiB,
    total: 1000 * MiB,
  },
  driver: { total: 1000 * MiB, free: 299 * MiB },
});
const readSystem = () => ({ total: 10 * GiB, available: 4 * GiB, used: 6 * GiB, process: GiB });

describe("GPUMonitor", () => {
  it("D83: works on the CPU, also where a machine has a GPU", () => {
    const fails = () => {
      throw new Error("was asked");
    };
    const monitor = new GPUMonitor({ device: "cpu", readDevice: fails, readSystem });
    expect(monitor.getGpuMemoryInfo()).toBeNull();
    expect(monitor.checkMemoryThreshold(1, 50)).toEqual({ gpuExceeded: false, systemExceeded: true });
    monitor.clearGpuCache();
    monitor.resetPeakStats();
    expect(monitor.printMemorySummary("Training Start")).toEqual([
      "[Training Start] System - Used: 6144.0 MiB | Available: 4096.0 MiB | Utilization: 60.0% | Process: 1024.0 MiB",
    ]);
  });

  it("works with nothing given, on any machine", () => {
    const { system } = new GPUMonitor().getMemoryStats();
    expect(system.totalMb).toBeGreaterThan(system.usedMb);
    expect(system.processMb).toBeGreaterThan(10);
  });

  it("D91: free is what the device reports, in MiB", () => {
    const monitor = new GPUMonitor({ readDevice: reading, readSystem });
    expect(monitor.getGpuMemoryInfo()).toEqual({
      allocatedMb: 300,
      reservedMb: 400,
      freeMb: 300,
      totalMb: 1000,
      utilizationPercent: 70,
      maxAllocatedMb: 350,
      maxReservedMb: 450,
    });
    expect(monitor.checkMemoryThreshold(69, 60)).toEqual({ gpuExceeded: true, systemExceeded: false });
    expect(monitor.printMemorySummary("x")[0]).toBe(
      "[x] GPU - Allocated: 300.0 MiB | Reserved: 400.0 MiB | Utilization: 70.0% | Peak: 350.0 MiB",
    );
    const asleep = new GPUMonitor({ readDevice: () => ({ ...reading(), torch: null }), readSystem });
    expect(asleep.getGpuMemoryInfo()).toMatchObject({ allocatedMb: 0, freeMb: 299, totalMb: 1000 });
    const unknown = new GPUMonitor({ readDevice: () => ({ torch: null, driver: { total: MiB, free: null } }), readSystem });
    expect(unknown.getGpuMemoryInfo()).toMatchObject({ freeMb: null, utilizationPercent: null });
  });

  it("D91: keeps snapshots without logging, and never more than so many", () => {
    const monitor = new GPUMonitor({ device: "cpu", enableLogging: false, maxSnapshots: 3, readSystem });
    for (let epoch = 1; epoch <= 5; epoch++)
      monitor.logMemory({ label: "epoch", stage: epoch < 4 ? "stage1" : "stage2", epoch });
    expect(monitor.getSnapshots().map(({ epoch }) => epoch)).toEqual([3, 4, 5]);
    expect(monitor.getSnapshots({ stage: "stage2" })).toHaveLength(2);
    expect(monitor.getSnapshots({ stage: "stage2", epoch: 4 })).toHaveLength(1);
    monitor.clearSnapshots();
    expect(monitor.getSnapshots()).toEqual([]);
  });

  it("remembers the peak, and measures a scope", async () => {
    let used = 1;
    const gpu = (): DeviceReading => ({
      torch: {
        ...(reading().torch as NonNullable<DeviceReading["torch"]>),
        allocated: used * MiB,
        maxAllocated: 10 * used * MiB,
      },
      driver: null,
    });
    const monitor = new GPUMonitor({ readDevice: gpu, readSystem: () => ({ ...readSystem(), process: used * MiB }) });
    const scope = await monitor.scoped("work", () => {
      used = 5;
      return "done";
    });
    expect(scope).toEqual({ result: "done", processMb: 4, gpuMb: 4 });
    used = 2;
    monitor.logMemory({ label: "later" });
    expect(monitor.getPeakUsage()).toEqual({ gpuMb: 50, processMb: 5 });
    await expect(monitor.scoped("fails", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(monitor.getSnapshots().at(-1)?.label).toBe("fails end");
  });

  it("writes summaries to the log, and epochs in debug only", () => {
    const text = (level: "INFO" | "DEBUG") => {
      const path = join(folder, `${level}.log`);
      const monitor = new GPUMonitor({ device: "cpu", log: new Log(path, level), readSystem });
      monitor.logMemory({ label: "epoch", epoch: 1 });
      monitor.logMemorySummary("Experiment Start");
      return readFileSync(path, "utf8");
    };
    expect(text("INFO")).toMatch(/^[^\n]* - cellsam\.memory - INFO - \[Experiment Start\] System - Used: 6144\.0 MiB[^\n]*\n$/);
    expect(text("DEBUG")).toContain("DEBUG - [epoch] System");
  });
});

test("the driver tells free memory per device, found by its place on the bus", () => {
  const source = join(folder, "driver.c");
  writeFileSync(
    source,
    `#include <stdio.h>
    #include <string.h>
    int cuInit(unsigned f) { return 0; }
    int cuDriverGetVersion(int *v) { *v = 12080; return 0; }
    int cuDeviceGetCount(int *n) { *n = 2; return 0; }
    int cuDeviceGet(int *d, int i) { *d = i; return 0; }
    int cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "Test %d", d); return 0; }
    int cuDeviceTotalMem_v2(size_t *m, int d) { *m = 1000; return 0; }
    int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 9 : 0; return 0; }
    int cuDeviceGetPCIBusId(char *s, int n, int d) { snprintf(s, n, "0000:0%d:00.0", 5 - d); return 0; }
    int nvmlInit_v2(void) { return 0; }
    int nvmlShutdown(void) { return 0; }
    int nvmlSystemGetDriverVersion(char *s, unsigned n) { strncpy(s, "570.1", n); return 0; }
    static int handles[9];
    int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **h) { *h = &handles[id[6] - '0']; return 0; }
    int nvmlDeviceGetMemoryInfo(void *h, unsigned long long *m) { m[0] = 1000; m[1] = 100 * ((int *)h - handles); m[2] = 0; return 0; }`,
  );
  for (const library of ["libcuda.so.1", "libnvidia-ml.so.1"])
    execFileSync("cc", ["-shared", "-fPIC", "-w", "-o", join(folder, library), source]);
  const root = join(import.meta.dirname, "../..");
  const script = `const b = require("node-gyp-build")(${JSON.stringify(root)}); console.log(JSON.stringify(b.driver()))`;
  const env = { ...process.env, LD_LIBRARY_PATH: folder };
  expect(JSON.parse(execFileSync(process.execPath, ["-e", script], { cwd: root, env, encoding: "utf8" }))).toEqual({
    cuda: "12.8",
    version: "570.1",
    devices: [
      { name: "Test 0", memory: 1000, free: 500, computeCapability: "9.0" },
      { name: "Test 1", memory: 1000, free: 400, computeCapability: "9.0" },
    ],
  });
});

test("the engine knows no memory of the CPU, and a device that is not there is an error for it and none for a monitor", () => {
  loadEngine();
  for (const command of ["device.memory", "device.reset_peak", "device.empty_cache"])
    expect(engineCall(command, { device: "cpu" })).toBeNull();
  expect(() => engineCall("device.memory", { device: "cuda:77" })).toThrow(
    expect.objectContaining({ code: "ERR_DEVICE_UNAVAILABLE" }),
  );
  expect(() => engineCall("device.memory", { device: "cpu", what: 1 })).toThrow(/what/);
  expect(deviceMemory("cuda:77")).toBeNull();
  emptyDeviceCache("cuda:77");
  resetDevicePeak("cuda:77");
});
