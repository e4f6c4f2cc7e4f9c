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

interface Limit {
  total: number;
  used: number;
}

/** The cgroups that hold this process, from its own up to the outermost that is visible: of version 2, or of 1. */
function cgroups(root: string): string[] {
  const lines = (textOrNull(`${root}/proc/self/cgroup`) ?? "").split("\n");
  const own = (prefix: RegExp) => lines.find((line) => prefix.test(line))?.replace(prefix, "") ?? "/";
  const ancestors = (mount: string, path: string) => {
    const parts = path.split("/").filter(Boolean);
    return [...parts.map((_, i) => `${mount}/${parts.slice(0, parts.length - i).join("/")}`), mount];
  };
  return [...ancestors("/sys/fs/cgroup", own(/^0::/)), ...ancestors("/sys/fs/cgroup/memory", own(/^\d+:memory:/))];
}

/** Limit and use of a cgroup; null without a limit. */
function cgroupLimit(folder: string): Limit | null {
  const versions = [
    ["memory.max", "memory.current", "inactive_file"],
    ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
  ] as const;
  for (const [limit, usage, cache] of versions) {
    const total = Number(textOrNull(`${folder}/${limit}`) ?? Number.NaN);
    const current = Number(textOrNull(`${folder}/${usage}`) ?? Number.NaN);
    if (!Number.isFinite(total) || !Number.isFinite(current)) continue;
    // The kernel frees cached files before it refuses memory.
    const statistics = textOrNull(`${folder}/memory.stat`) ?? "";
    const cached = Number(new RegExp(`^${cache} (\\d+)`, "m").exec(statistics)?.[1] ?? 0);
    return { total, used: Math.max(0, current - cached) };
  }
  return null;
}

/** The limit of this process's address space (`ulimit -v`), and what of it is mapped; null without a limit. */
function addressLimit(root: string): Limit | null {
  const total = Number(/^Max address space +(\d+)/m.exec(textOrNull(`${root}/proc/self/limits`) ?? "")?.[1] ?? Number.NaN);
  const mapped = Number(/^VmSize:\s+(\d+) kB/m.exec(textOrNull(`${root}/proc/self/status`) ?? "")?.[1] ?? Number.NaN);
  return Number.isFinite(total) && Number.isFinite(mapped) ? { total, used: mapped * 1024 } : null;
}

/** MemAvailable on Linux, or what the least limit on this process leaves. `root` holds /proc and /sys. */
export function systemMemory(root = ""): SystemMemory {
  const meminfo = textOrNull(`${root}/proc/meminfo`);
  const field = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo ?? "")?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  };
  let total = field("MemTotal") ?? totalmem();
  let available = field("MemAvailable") ?? freemem();
  for (const limit of [...cgroups(root).map((folder) => cgroupLimit(root + folder)), addressLimit(root)]) {
    if (!limit || limit.total >= total) continue;
    total = limit.total;
    available = Math.min(available, Math.max(0, limit.total - limit.used));
  }
  return { total, available, used: total - available, process: process.memoryUsage.rss() };
}
