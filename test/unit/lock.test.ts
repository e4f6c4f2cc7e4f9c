// Who gets the lock of a folder: real processes that start at once, die, and leave locks of every kind behind.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as native from "../../lib/engine/native.js";
import { CellsamError } from "../../lib/errors.js";
import { type LockOwner, takeLock } from "../../lib/train/lock.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-lock-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

let path: string;
let locks = 0;
const running: ChildProcess[] = [];
beforeEach(() => {
  path = join(folder, `${locks++}.lock`);
});
afterEach(() => {
  vi.restoreAllMocks();
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

async function started(count: number): Promise<ChildProcess[]> {
  const program = fileURLToPath(new URL("./lock-process.mjs", import.meta.url));
  const children = Array.from({ length: count }, () => fork(program, [path]));
  running.push(...children);
  await Promise.all(children.map((child) => once(child, "message")));
  return children;
}

async function take(children: ChildProcess[]): Promise<string[]> {
  const answers = children.map((child) => once(child, "message"));
  for (const child of children) child.send("take");
  return (await Promise.all(answers)).map(([answer]) => answer as string);
}

const busy = () => new Error("busy");
const dead: LockOwner = { pid: 2 ** 22 + 1, host: hostname(), boot: null, started: "then" };
const leave = (owner: Partial<LockOwner>) => writeFile(path, JSON.stringify({ ...dead, ...owner }));
const boot = () => readFile("/proc/sys/kernel/random/boot_id", "utf8").then((text) => text.trim());

/** A file system without locks. */
function withoutLocks(): void {
  const real = native.lockFile;
  vi.spyOn(native, "lockFile").mockImplementation((file) => {
    const lock = real(file);
    lock.release();
    return { state: "unsupported", write: (text) => lock.write(text), release: () => undefined };
  });
}

describe("a lock", () => {
  it("has one owner when eight processes take it at once, and a dead one's has", async () => {
    const children = await started(8);
    for (let round = 0; round < 6; round++) {
      if (round > 0) await leave({});
      const answers = await take(children);
      expect(
        answers.filter((answer) => answer === "held"),
        `round ${round}`,
      ).toHaveLength(1);
      const [owner] = children.splice(answers.indexOf("held"), 1) as [ChildProcess];
      owner.kill("SIGKILL");
      await once(owner, "exit");
    }
  });

  it("is removed at the end, and taken again", async () => {
    const unlock = await takeLock(path, busy);
    await expect(takeLock(path, busy)).rejects.toThrow("busy");
    await unlock();
    expect(existsSync(path)).toBe(false);
    await (await takeLock(path, busy))();
  });

  it("that a full disk left empty, or half written, does not hold", async () => {
    for (const rest of ["", '{"pid":']) {
      await writeFile(path, rest);
      await (await takeLock(path, busy))();
    }
  });

  it.runIf(process.platform === "linux")("of a container that was started again under another name does not hold", async () => {
    await leave({ host: "container-1", boot: await boot() });
    await (await takeLock(path, busy))();
  });

  it("of another machine holds for five minutes", async () => {
    await leave({ host: "elsewhere", boot: "another kernel" });
    await expect(takeLock(path, busy)).rejects.toThrow("busy");
    const old = new Date(Date.now() - 6 * 60_000);
    await utimes(path, old, old);
    await (await takeLock(path, busy))();
  });

  it("that cannot be written for lack of space is an error and leaves nothing", async () => {
    await writeFile(path, "");
    const full = () => {
      throw new CellsamError("ERR_IO", "No space left on device");
    };
    vi.spyOn(native, "lockFile").mockReturnValue({ state: "held", write: full, release: () => undefined });
    await expect(takeLock(path, busy)).rejects.toThrow("No space left");
    expect(existsSync(path)).toBe(false);
  });

  it("works where the file system has no locks", async () => {
    withoutLocks();
    const unlock = await takeLock(path, busy);
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid, host: hostname() });
    await expect(takeLock(path, busy)).rejects.toThrow("busy");
    await unlock();
    await leave({});
    await (await takeLock(path, busy))();
    await leave({ pid: process.ppid });
    await expect(takeLock(path, busy)).rejects.toThrow("busy");
  });
});
