/**
 * Memory of the machine and of this process, in bytes. Available is what the kernel can still provide, which is more than what
 * is unused.
 */
import { freemem, totalmem } from "node:os";
import { textOrNull } from "../files/read.js";

export interface SystemMemory {
  total: number;
  available: number;
  used: number;
  /** Resident memory of this process. */
  process: number;
}

/** Limit and use of a cgroup (version 2 or 1); null without a limit. */
function cgroup(root: string): { total: number; used: number } | null {
  const versions = [
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"],
    [
      "/sys/fs/cgroup/memory/memory.limit_in_bytes",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes",
      "/sys/fs/cgroup/memory/memory.stat",
      "total_inactive_file",
    ],
  ] as const;
  for (const [limit, usage, statistics, cache] of versions) {
    const total = Number(textOrNull(root + limit) ?? Number.NaN);
    const current = Number(textOrNull(root + usage) ?? Number.NaN);
    if (!Number.isFinite(total) || !Number.isFinite(current)) continue;
    // The kernel frees cached files before it refuses memory.
    const cached = Number(new RegExp(`^${cache} (\\d+)`, "m").exec(textOrNull(root + statistics) ?? "")?.[1] ?? 0);
    return { total, used: Math.max(0, current - cached) };
  }
  return null;
}

/** MemAvailable on Linux, or what the cgroup's limit leaves where that is less. `root` holds /proc and /sys. */
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
