/**
 * Prevents two processes from working in one experiment folder. The lock is a file beside the folder that names its process;
 * the lock of a dead process is taken over. Where the process cannot be looked up, as on another host, a lock that was not
 * renewed for five minutes counts as dead.
 */
import { link, mkdir, open, readFile, rename, rm, rmdir, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { CellsamError } from "../errors.js";
import { checkOutputFolder, unusableFile } from "../files/outputPath.js";
import { isRunning, markOf } from "./processMark.js";

const renewMs = 30_000;
const deadAfterMs = 5 * 60_000;
/** Locks of this thread, by absolute path. */
const held = new Set<string>();

interface Owner {
  pid: number;
  host: string;
  started: string;
  /** When the process was started, in the units of its system: it distinguishes a later process with the same number. */
  processStarted?: string | null;
}

/**
 * Locks the experiment and returns the function that unlocks it.
 * @throws CellsamError ERR_LOCKED while another run holds it, ERR_CONFIG
 */
export async function lockExperiment(outputDir: string, outputName: string): Promise<() => Promise<void>> {
  const path = lockPath(outputDir, outputName);
  await checkOutputFolder("outputDir", outputDir);
  await checkOutputFolder("outputName", join(outputDir, outputName));
  const made = await mkdir(outputDir, { recursive: true });
  const { pid, started: processStarted } = markOf(process.pid);
  const owner: Owner = { pid, host: hostname(), started: new Date().toISOString(), processStarted };
  const lock = () =>
    create(path, owner).catch((cause: Error) => {
      throw unusableFile("outputName", path, cause);
    });
  while (!(await lock())) {
    const other = await ownerOf(path);
    if (other === "gone") continue;
    if (await alive(path, other)) {
      const who = other ? `process ${other.pid} on ${other.host}, since ${other.started}` : "another process";
      const message = `${join(outputDir, outputName)} is in use by ${who}. Wait for it, or stop it; if it is dead, remove ${path}`;
      throw new CellsamError("ERR_LOCKED", message, { detail: { path, ...other } });
    }
    // Renamed before it is removed: another process may have replaced the dead lock by its own meanwhile, which is then put
    // back.
    const dead = `${path}.${process.pid}.${Date.now()}`;
    await rename(path, dead).catch(() => undefined);
    const moved = await ownerOf(dead);
    if (moved !== "gone" && JSON.stringify(moved) !== JSON.stringify(other)) await link(dead, path).catch(() => undefined);
    await rm(dead, { force: true });
  }
  held.add(path);
  const renewal = setInterval(() => utimes(path, new Date(), new Date()).catch(() => undefined), renewMs).unref();
  return async () => {
    clearInterval(renewal);
    held.delete(path);
    await rm(path, { force: true });
    // Removes the folders that this run made, if it wrote nothing.
    const above = made === undefined ? [] : relative(dirname(resolve(made)), resolve(outputDir)).split(sep);
    for (const [i] of above.entries()) await rmdir(resolve(outputDir, ...Array<string>(i).fill(".."))).catch(() => undefined);
  };
}

/** Whether a process trains in the experiment at this moment. */
export async function isLocked(outputDir: string, outputName: string): Promise<boolean> {
  const path = lockPath(outputDir, outputName);
  const owner = await ownerOf(path);
  return owner !== "gone" && (await alive(path, owner));
}

function lockPath(outputDir: string, outputName: string): string {
  return resolve(outputDir, `.${outputName}.lock`);
}

async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(`${JSON.stringify(owner)}\n`).finally(() => file.close());
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** null for a lock whose content cannot be read, such as one that is being written. */
async function ownerOf(path: string): Promise<Owner | null | "gone"> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Owner;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "gone" : null;
  }
}

async function alive(path: string, owner: Owner | null): Promise<boolean> {
  if (held.has(path)) return true;
  if (owner?.host === hostname()) {
    const { pid, processStarted = null } = owner;
    if (!isRunning({ pid, started: processStarted })) return false;
    // Windows reuses process numbers soon and does not report when a process was started: there an owner that renews its lock
    // is alive.
    if (processStarted !== null) return true;
  }
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
  return Date.now() - mtimeMs < deadAfterMs;
}
