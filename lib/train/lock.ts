/**
 * Prevents two processes from working in one folder, such as that of an experiment. The lock is a file beside what it protects.
 * The system locks the file for as long as its process lives, and the file names that process. Where the file system has no
 * locks, or locks that other machines do not see, the name decides: the lock of a dead process is taken over, and where the
 * process cannot be looked up, as on another machine, a lock that was not renewed for five minutes counts as dead.
 */
import { link, readFile, rename, rm, rmdir, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { type FileLock, lockFile } from "../engine/native.js";
import { CellsamError } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { checkOutputFile, checkOutputFolder, unusableFile } from "../files/outputPath.js";
import { textOrNull } from "../files/read.js";
import { isRunning, markOf } from "../pool/processMark.js";

const renewMs = 30_000;
const deadAfterMs = 5 * 60_000;
/** Locks of this thread, by absolute path. */
const held = new Set<string>();

/** Who holds a lock, as its file says. */
export interface LockOwner {
  pid: number;
  host: string;
  /** The running kernel: containers share it, whatever their host names. null where the system has no such number. */
  boot: string | null;
  started: string;
  /** When the process was started, in the units of its system: it distinguishes a later process with the same number. */
  processStarted?: string | null;
}

/**
 * Locks the file `path`, which must not exist or be a lock, and returns the function that unlocks and removes it.
 * @param busy the error to throw while another holds it; its owner is null while that is not known
 * @throws the error of `busy`; what the system says when the file cannot be written
 */
export async function takeLock(path: string, busy: (owner: LockOwner | null) => Error): Promise<() => Promise<void>> {
  const { pid, started: processStarted } = markOf(process.pid);
  const boot = textOrNull("/proc/sys/kernel/random/boot_id")?.trim() ?? null;
  const owner: LockOwner = { pid, host: hostname(), boot, started: new Date().toISOString(), processStarted };
  const text = `${JSON.stringify(owner)}\n`;
  if (held.has(path)) throw busy(owner);
  for (;;) {
    const lock = lockFile(path);
    const other = await ownerOf(path);
    try {
      if (lock.state === "taken" || (await alive(path, other, lock.state, boot))) throw busy(other);
      if (lock.state === "held") lock.write(text);
      else if (!(await replace(path, text, other))) continue;
      // Where the holder before removed the file in the meantime, this is not the file that others see.
      if ((await readFile(path, "utf8").catch(() => "")) !== text) continue;
      held.add(path);
    } catch (error) {
      if (lock.state === "held" && (error as CellsamError).code === "ERR_IO") await rm(path, { force: true });
      throw error;
    } finally {
      if (!held.has(path)) lock.release();
    }
    const renewal = setInterval(() => utimes(path, new Date(), new Date()).catch(() => undefined), renewMs).unref();
    return async () => {
      clearInterval(renewal);
      held.delete(path);
      await rm(path, { force: true });
      lock.release();
    };
  }
}

/**
 * Locks the experiment and returns the function that unlocks it.
 * @throws CellsamError ERR_LOCKED while another run holds it, ERR_CONFIG
 */
export async function lockExperiment(outputDir: string, outputName: string): Promise<() => Promise<void>> {
  const path = lockPath(outputDir, outputName);
  await checkOutputFolder("outputDir", outputDir);
  await checkOutputFolder("outputName", join(outputDir, outputName));
  await checkOutputFile("outputName", path);
  const made = await makeFolder(outputDir);
  const unlock = await takeLock(path, (owner) => {
    const who = owner ? `process ${owner.pid} on ${owner.host}, since ${owner.started}` : "another process";
    const message = `${join(outputDir, outputName)} is in use by ${who}. Wait for it, or stop it; if it is dead, remove ${path}`;
    return new CellsamError("ERR_LOCKED", message, { detail: { path, ...owner } });
  }).catch((error: CellsamError) => {
    throw error.code === "ERR_LOCKED" ? error : unusableFile("outputName", path, error);
  });
  return async () => {
    await unlock();
    // Removes the folders that this run made, if it wrote nothing.
    for (const folder of made.toReversed()) await rmdir(folder).catch(() => undefined);
  };
}

/** Whether a process trains in the experiment at this moment, as far as its lock file tells. */
export function isLocked(outputDir: string, outputName: string): Promise<boolean> {
  return isTaken(lockPath(outputDir, outputName));
}

/** The process that trains in the experiment, as its lock file names it; null where none does. */
export async function experimentOwner(outputDir: string, outputName: string): Promise<LockOwner | null> {
  const path = lockPath(outputDir, outputName);
  const owner = await ownerOf(path);
  return (await alive(path, owner, "unknown", null)) ? owner : null;
}

/** Whether a process holds the lock, as far as its file tells. */
export async function isTaken(path: string): Promise<boolean> {
  return alive(path, await ownerOf(path), "unknown", null);
}

function lockPath(outputDir: string, outputName: string): string {
  return resolve(outputDir, `.${outputName}.lock`);
}

/** On a file system without locks: puts this process in place of the dead `other`. Returns whether it succeeded. */
async function replace(path: string, text: string, other: LockOwner | null): Promise<boolean> {
  const own = `${path}.${process.pid}.${Date.now()}`;
  const dead = `${own}.dead`;
  try {
    await writeFile(own, text);
    // Renamed before it is removed: another process may have replaced the dead lock by its own meanwhile, which is put back.
    await rename(path, dead).catch(() => undefined);
    if (JSON.stringify(await ownerOf(dead)) !== JSON.stringify(other)) {
      await link(dead, path).catch(() => undefined);
      return false;
    }
    return await link(own, path).then(
      () => true,
      () => false,
    );
  } finally {
    for (const file of [own, dead]) await rm(file, { force: true });
  }
}

/** null where there is no file, or its content cannot be read. */
async function ownerOf(path: string): Promise<LockOwner | null> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as LockOwner;
  } catch {
    return null;
  }
}

async function alive(
  path: string,
  owner: LockOwner | null,
  state: FileLock["state"] | "unknown",
  boot: string | null,
): Promise<boolean> {
  // An empty file: the one that was just made, or the disk of its owner was full.
  if (owner === null) return false;
  if (owner.host === hostname()) {
    const { pid, host, processStarted = null } = owner;
    if (!isRunning({ pid, host, started: processStarted })) return false;
    // Windows reuses process numbers soon and does not report when a process was started: there an owner that renews its lock
    // is alive.
    if (processStarted !== null) return true;
  }
  // Processes under one kernel see each other's locks: another container under it has left this one behind.
  else if (state === "held" && boot !== null && owner.boot === boot) return false;
  return isFresh(path);
}

async function isFresh(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
  return Date.now() - mtimeMs < deadAfterMs;
}
