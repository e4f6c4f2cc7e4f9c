/** The memory that studio uses: of this process, of the one that trains, and of the GPUs. */
import { readFile } from "node:fs/promises";
import { driverInfo } from "../engine/native.js";
import type { Memory } from "./api.js";
import type { Events } from "./events.js";

const tellMs = 5000;

/** @param training the process that trains */
export async function memoryOf(training: number | null): Promise<Memory> {
  return {
    time: new Date().toISOString(),
    server: process.memoryUsage.rss(),
    training: training === null ? null : await residentBytes(training),
    gpus: gpus(),
  };
}

/** null for a process that has ended, and on systems without /proc. */
async function residentBytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

function gpus(): Memory["gpus"] {
  const devices = driverInfo()?.devices ?? [];
  return devices.flatMap(({ name, memory, free }) =>
    free === null ? [] : [{ name, used: Math.max(0, memory - free), total: memory }],
  );
}

/** Tells pages twice in ten seconds; the function that is returned ends it. */
export function tellMemory(events: Events, training: () => number | null): () => void {
  const tell = async () => events.emit("memory", await memoryOf(training()));
  const timer = setInterval(() => void tell(), tellMs).unref();
  return () => clearInterval(timer);
}
