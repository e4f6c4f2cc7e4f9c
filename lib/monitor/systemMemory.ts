/** Memory of the machine and of this process, in bytes: what the kernel can still give, not what happens to lie unused. */
import { freemem, totalmem } from "node:os";
import { textOrNull } from "../files/read.js";

export interface SystemMemory {
  total: number;
  available: number;
  used: number;
  /** Resident memory of this process. */
  process: number;
}

/** A cgroup's limit and use, of version 2 or 1; null without a limit. */
function cgroup(root: string): { total: number; used: number } | null {
  const places = [
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"],
    [
      "/sys/fs/cgroup/memory/memory.limit_in_bytes",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes",
      "/sys/fs/cgroup/memory/memory.stat",
      "total_inactive_file",
    ],
  ] as const;
  for (const [limit, usage, statistics, cache] of places) {
    const total = Number(textOrNull(root + limit) ?? Number.NaN);
    const current = Number(textOrNull(root + usage) ?? Number.NaN);
    if (!Number.isFinite(total) || !Number.isFinite(current)) continue;
    // Cached files are given back before anything is refused.
    const cached = Number(new RegExp(`^${cache} (\\d+)`, "m").exec(textOrNull(root + statistics) ?? "")?.[1] ?? 0);
    return { total, used: Math.max(0, current - cached) };
  }
  return null;
}

/** MemAvailable on Linux, and the cgroup's limit where it is the smaller one. `root` is where /proc and /sys are looked for. */
export function systemMemory(root = ""): SystemMemory {
  const meminfo = textOrNull(`${root}/proc/meminfo`);
  const field = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo ?? "")?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  };
  let total = field("MemTotal") ?? totalmem();
  let available = field("MemAvailable") ?? freemem();
  const limit = cgroup(root);
  if (limit && limit.total < total) {
    total = limit.total;
    available = Math.min(available, Math.max(0, limit.total - limit.used));
  }
  return { total, available, used: total - available, process: process.memoryUsage.rss() };
}
