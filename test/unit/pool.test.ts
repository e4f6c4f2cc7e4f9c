// Workers of a pool: what a launcher starts, how they end, and which device gets what.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { poolSlots, wordsOf } from "../../lib/config/pool.js";
import { isRunning, markOf } from "../../lib/pool/processMark.js";
import { inSlots, stoppedTogether } from "../../lib/pool/slots.js";
import { startWorker } from "../../lib/pool/worker.js";

const program = fileURLToPath(new URL("./pool-worker.mjs", import.meta.url));

interface Told {
  cwd: string;
  pid: number;
  how: string;
}

/** Gives a worker the task, and answers how it ended and what it reported. */
async function work(how: string, launcher: readonly string[] = [], stopAfterReport = false) {
  const reports: Told[] = [];
  const worker = startWorker<{ how: string }, Told, string>({
    name: "trial",
    program,
    launcher,
    onReport: (report) => {
      reports.push(report);
      if (stopAfterReport) worker.stop();
    },
  });
  worker.begin({ how });
  return { end: await worker.end, reports };
}

let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "cellsam-pool-")));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a worker", () => {
  it("returns its result, here and behind a launcher, whatever else is written on its stdout", async () => {
    for (const launcher of [[], ["env", "A=b c"], wordsOf(`sh -c 'echo "srun: job 3 queued"; exec "$@"' --`)]) {
      const { end, reports } = await work("well", launcher);
      expect(end).toEqual({ state: "done", result: "well: done" });
      expect(reports).toMatchObject([{ how: "well", cwd: process.cwd() }]);
    }
  });

  it("works in the folder of its pool, also where the launcher starts it elsewhere", async () => {
    const { end, reports } = await work("well", ["sh", "-c", `cd ${folder}; exec "$@"`, "--"]);
    expect(end.state).toBe("done");
    expect(reports[0]?.cwd).toBe(process.cwd());
  });

  it("says which folder its machine lacks", async () => {
    const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin?.write(`${JSON.stringify({ type: "run", cwd: join(folder, "away"), task: { how: "well" } })}\n`);
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) lines.push(line);
    const message = expect.stringContaining(`away is not there on ${hostname()}: workers need the data`);
    expect(JSON.parse(lines.at(-1) as string)).toEqual({
      type: "failed",
      error: { code: "ERR_PATH", system: "ENOENT", message },
    });
  });

  it("ends as stopped, failed or crashed, with what it wrote", async () => {
    expect((await work("wait", [], true)).end).toEqual({ state: "stopped" });
    expect((await work("throw")).end).toMatchObject({
      state: "failed",
      crashed: false,
      error: { code: "ERR_UNEXPECTED", message: expect.stringContaining("no such thing") },
    });
    const how = process.platform === "win32" ? "code 1" : "SIGKILL";
    const died = { code: "ERR_TRIAL_DIED", message: expect.stringContaining(how) };
    expect((await work("die")).end).toMatchObject({ state: "failed", crashed: true, error: died });
    const { end } = await work("die");
    expect(end).toMatchObject({ error: { message: expect.stringContaining("Loading modules") } });
    const missing = { code: "ERR_TRIAL_DIED", message: expect.stringContaining("could not be started") };
    expect((await work("well", [join(folder, "no-launcher")])).end).toMatchObject({ crashed: true, error: missing });
  });

  it("saves and ends when its pool is gone", async () => {
    const [pool, saved] = [join(folder, "pool.mjs"), join(folder, "saved")];
    await writeFile(
      pool,
      `import { startWorker } from ${JSON.stringify(fileURLToPath(new URL("../../dist/pool/worker.js", import.meta.url)))};
       const worker = startWorker({ name: "trial", program: ${JSON.stringify(program)}, launcher: [],
         onReport: ({ pid }) => { console.log(pid); process.kill(process.pid, "SIGKILL"); } });
       worker.begin({ how: "wait", saved: ${JSON.stringify(saved)} });`,
    );
    const child: ChildProcess = spawn(process.execPath, [pool], { stdio: ["ignore", "pipe", "inherit"] });
    const [pid] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const mark = markOf(Number(pid.toString()));
    await expect.poll(() => isRunning(mark), { timeout: 900_000 }).toBe(false);
    expect(existsSync(saved)).toBe(true);
  });
});

describe("a process", () => {
  it("is known by number, start and machine: nobody knows about those of another machine", () => {
    const own = markOf(process.pid);
    expect(own.host).toBe(hostname());
    expect(isRunning(own)).toBe(true);
    expect(isRunning({ ...own, host: `${own.host}-2` })).toBeUndefined();
    if (existsSync("/proc/self/stat")) expect(isRunning({ ...own, started: "1" })).toBe(false);
  });
});

describe("slots", () => {
  const two = poolSlots({ devices: ["cuda:0", "cuda:1"] });

  it("are one for each device where nothing else is said, and take each its device", async () => {
    expect(two.maxParallel).toBe(2);
    expect(poolSlots({})).toEqual({ maxParallel: 1, devices: [], launcher: [] });
    const done: string[] = [];
    const begunOn = (item: number) => (item === 3 ? "cuda:1" : undefined);
    const work = async (item: number, device: string | undefined) => {
      await new Promise(setImmediate);
      done.push(`${item} ${device}`);
    };
    await inSlots({ queue: [1, 2, 3, 4], slots: two, begunOn, work, stop: () => undefined, signal: undefined });
    expect(done.sort()).toEqual(["1 cuda:0", "2 cuda:1", "3 cuda:1", "4 cuda:0"]);
  });

  it("end all work when one fails, and throw its error", async () => {
    const stop = new AbortController();
    const begun: number[] = [];
    const work = async (item: number) => {
      begun.push(item);
      if (item === 2) throw new Error("the disk is full");
      await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
    };
    const round = { queue: [1, 2, 3, 4], slots: two, begunOn: () => undefined, work, signal: undefined };
    await expect(inSlots({ ...round, stop: () => stop.abort() })).rejects.toThrow("the disk is full");
    expect(begun).toEqual([1, 2]);
  });

  it("know a worker that was stopped with its pool from one that was stopped alone", async () => {
    const stop = new AbortController();
    const answer = stoppedTogether(stop.signal); // the worker had the signal first
    stop.abort();
    expect(await answer).toBe(true);
    expect(await stoppedTogether(new AbortController().signal)).toBe(false);
    expect(await stoppedTogether(undefined)).toBe(false);
  });

  it("read a launcher as words, and refuse what is none", () => {
    expect(wordsOf(`ssh -o "ConnectTimeout 5" 'node 7' a=' b'`)).toEqual(["ssh", "-o", "ConnectTimeout 5", "node 7", "a= b"]);
    expect(poolSlots({ launcher: "srun -n1 --gpus=1" }).launcher).toEqual(["srun", "-n1", "--gpus=1"]);
    expect(() => poolSlots({ devices: ["gpu"] })).toThrow(/must be cpu, cuda or cuda:N/);
    expect(() => poolSlots({ maxParallel: 0 })).toThrow(expect.objectContaining({ code: "ERR_CONFIG" }));
  });
});
