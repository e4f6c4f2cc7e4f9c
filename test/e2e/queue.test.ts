// Folds and trials through a queue on a real PostgreSQL: the same files as one after another, whatever ends in between.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import type { TrainingEvent } from "../../lib/events.js";
import { openServer } from "../../lib/queue/server.js";
import { HyperparameterOptimizer } from "../../lib/search/optimizer.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import type { RunnerOptions } from "../../lib/train/options.js";
import { type HeldFolds, heldFolds } from "../heldFold.js";
import { type Postgres, startPostgres, withoutPostgres } from "../postgres.js";
import { outcome, syntheticRuns } from "../unit/runner-runs.js";
import { cellsam } from "./cellsam.js";

const reason = withoutPostgres();
if (reason) console.warn(`SKIPPED: tests with a real PostgreSQL (${reason})`);

const { folder, newOutput, settings } = syntheticRuns(4, 64);

function input(outputDir: string): ExperimentInput {
  const stage = { totalEpochs: 2 };
  const network = { size: "tiny", tileSize: 64, threads: 1, stage1Config: stage, stage2Config: stage } as const;
  return settings(outputDir, { kFolds: 2, saveVisualizations: false, ...network });
}

describe.skipIf(reason !== null)("a queue on a real PostgreSQL", () => {
  let server: Postgres;
  let whole: Record<string, string>;
  beforeAll(async () => {
    server = await startPostgres();
    const out = newOutput();
    await new ExperimentRunner(input(out)).run();
    whole = await outcome(out);
  });
  afterAll(() => server?.end());

  const workers: ChildProcess[] = [];
  /** Starts a worker, and collects what it says. */
  function worker({ stderr = "inherit", held }: { stderr?: "inherit" | "pipe"; held?: HeldFolds } = {}) {
    const program = fileURLToPath(new URL("queue-worker.mjs", import.meta.url));
    const env = { ...process.env, ...held?.env };
    const child = spawn(process.execPath, [program, server.url], { stdio: ["ignore", "pipe", stderr], env });
    const said: string[] = [];
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => said.push(line));
    workers.push(child);
    return { child, said };
  }
  afterEach(async () => {
    const running = workers.splice(0).filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    for (const child of running) child.kill("SIGTERM");
    await Promise.all(running.map((child) => once(child, "exit")));
  });

  async function train(out: string, onEvent: (event: TrainingEvent) => void = () => undefined, more: RunnerOptions = {}) {
    const events: TrainingEvent[] = [];
    const run = new ExperimentRunner(input(out), { queue: server.url, ...more });
    for await (const event of run.events()) {
      events.push(event);
      onEvent(event);
    }
    return { events, results: await run.run() };
  }
  const at = (stage: number, fold: number) => (event: TrainingEvent) =>
    event.type === "epoch" && event.stage === stage && event.fold === fold && event.epoch === 1;
  const epochs = (events: TrainingEvent[], stage: number, fold: number) => events.filter(at(stage, fold)).length;

  it("has two workers do two folds, which write what one process writes", async () => {
    const [a, b] = [worker(), worker()];
    const out = newOutput();
    const { events, results } = await train(out);
    expect(results.map(({ fold, error }) => [fold, error])).toEqual([
      [1, null],
      [2, null],
    ]);
    expect(await outcome(out)).toEqual(whole);
    const folds = events.filter((event) => event.type === "fold").map(({ fold, state }) => `${fold} ${state}`);
    expect(folds.sort()).toEqual(["1 begin", "1 end", "2 begin", "2 end"]);
    expect(events.some((event) => event.type === "step")).toBe(true);
    for (const { said } of [a, b]) expect(said.filter((line) => line.endsWith("has ended: done"))).toHaveLength(1);
    const log = await readFile(join(out, "run/logs/experiment.log"), "utf8");
    expect(log).toMatch(/by workers of the queue at 127\.0\.0\.1:\d+\/postgres/);
  });

  it("gives the job of a machine that is lost to another worker, which goes on from its checkpoint", async () => {
    const out = newOutput();
    const first = worker({ held: heldFolds([1], 2, folder) });
    let killed = false;
    const { events, results } = await train(out, async (event) => {
      if (killed || !at(2, 1)(event)) return;
      killed = true;
      const log = await readFile(join(out, "run/logs/experiment.log"), "utf8");
      process.kill(Number(/fold 1 begins in process (\d+)/.exec(log)?.[1]), "SIGKILL");
      first.child.kill("SIGKILL");
      // As another machine sees the lock that it leaves, on a file system whose locks machines do not share.
      const lock = join(out, "run/resume/fold_1/fold.lock");
      await writeFile(lock, JSON.stringify({ pid: 1, host: "elsewhere", boot: "another" }));
      const { said } = worker();
      await expect
        .poll(() => said.join("\n"), { timeout: 900_000 })
        .toMatch(/waits: fold 1 is being trained by process 1 on elsewhere/);
      const long = new Date(Date.now() - 3_600_000);
      await utimes(lock, long, long);
    });
    expect(killed).toBe(true);
    expect(results.map(({ error }) => error)).toEqual([null, null]);
    // Stage 1 had been saved.
    expect(epochs(events, 1, 1)).toBe(1);
    expect(await outcome(out)).toEqual(whole);
  });

  it("gives back the job of a worker that is stopped, and of one that is killed beside its saving process", async () => {
    const out = newOutput();
    const held = [heldFolds([1], 1, folder), heldFolds([2], 1, out)] as const;
    const first = worker({ held: held[0] });
    let second: ReturnType<typeof worker> | undefined;
    let third: ReturnType<typeof worker> | undefined;
    await train(out, (event) => {
      if (!second && at(1, 1)(event)) {
        first.child.kill("SIGTERM");
        held[0].release();
        second = worker({ held: held[1] });
      } else if (!third && at(1, 2)(event)) {
        second?.child.kill("SIGKILL");
        held[1].release();
        third = worker();
      }
    });
    expect(third).toBeDefined();
    expect(first.said.at(-1)).toMatch(/goes back to the queue/);
    expect(await outcome(out)).toEqual(whole);
  });

  it("goes on after a crash of the server", async () => {
    const { said } = worker();
    const out = newOutput();
    let crashed = false;
    const { events } = await train(out, async (event) => {
      if (crashed || !at(1, 1)(event)) return;
      crashed = true;
      server.stop("immediate");
      await sleep(5000);
      server.start();
    });
    const notices = events.filter((event) => event.type === "notice").map(({ message }) => message);
    for (const told of [notices, said])
      expect(told.join("\n")).toMatch(/the queue does not answer[\s\S]*the queue answers again/);
    expect(await outcome(out)).toEqual(whole);
  });

  it("serves two runs at once", async () => {
    for (let i = 0; i < 2; i++) worker();
    const outs = [newOutput(), newOutput()];
    await Promise.all(outs.map((out) => train(out)));
    for (const out of outs) expect(await outcome(out)).toEqual(whole);
  });

  it("stops a run with TERM, which ends with 75, and a killed run's folds save for the one that goes on", async () => {
    const held = [heldFolds([1], 1, folder), heldFolds([1], 2, folder)] as const;
    const { child: first, said } = worker({ held: held[0] });
    const out = newOutput();
    const config = join(folder, "config.json");
    await writeFile(config, JSON.stringify(input(out)));
    const words = ["train", "--config", config, "--queue", server.url, "--json"];
    const ended = (signal: NodeJS.Signals, stage: 1 | 2) => (event: Record<string, unknown>, child: ChildProcess) => {
      if (!at(stage, 1)(event as unknown as TrainingEvent)) return;
      child.kill(signal);
      held[stage - 1]?.release();
    };
    const stopped = await cellsam(words, ended("SIGTERM", 1));
    expect(stopped.code, stopped.stderr).toBe(75);
    expect(said.at(-1)).toMatch(/has ended: stopped/);
    first.kill("SIGTERM");
    worker({ held: held[1] });
    const killed = await cellsam([...words, "--resume"], ended("SIGKILL", 2));
    expect(killed.signal).toBe("SIGKILL");
    const { code, stderr, events } = await cellsam([...words, "--resume"]);
    expect(code, stderr).toBe(0);
    expect(events.filter((event) => at(1, 1)(event as unknown as TrainingEvent))).toEqual([]);
    expect(await outcome(out)).toEqual(whole);
  });

  it("does trials, with the results of a search without it", async () => {
    worker();
    const search = async (outputDir: string, queue?: string) => {
      const stage = { totalEpochs: 1 };
      const baseConfig = {
        ...input(outputDir),
        stage1Config: stage,
        stage2Config: stage,
        strategy: "train_val_split" as const,
      };
      const paramSpace = { stage1LearningRates: [1e-3, 1e-4] };
      const result = await new HyperparameterOptimizer({ baseConfig, paramSpace, outputDir, queue }).runGridSearch();
      return JSON.stringify(result, (key, value) => (key === "seconds" ? undefined : value)).replaceAll(outputDir, "");
    };
    const [out, through] = [newOutput(), newOutput()];
    expect(await search(through, server.url)).toBe(await search(out));
  });

  it("sends away a worker whose machine lacks the folder of the run, and keeps the job", async () => {
    const { jobs, runs, close } = await openServer(server.url);
    await runs.add("run", { beat: 0, stop: [] }, { jobId: "elsewhere" });
    const data = { run: "elsewhere", name: "fold", cwd: join(folder, "away"), task: "{}" };
    await jobs.add("fold", data, { jobId: "kept" });
    const stderr: string[] = [];
    const { child } = worker({ stderr: "pipe" });
    child.stderr?.on("data", (text) => stderr.push(String(text)));
    const [code] = await once(child, "close");
    expect(code).not.toBe(0);
    expect(stderr.join("")).toMatch(/away is not there on .*: workers need the data/);
    expect(await jobs.getJobState("kept")).toBe("delayed");
    // Without its run it is nobody's.
    await runs.remove("elsewhere");
    const { said } = worker();
    await expect.poll(() => said.join(), { timeout: 900_000 }).toMatch(/fold kept is dropped: its run has ended/);
    await expect.poll(() => jobs.getJobState("kept"), { timeout: 900_000 }).toBe("unknown");
    await close();
  });
});

describe("a queue", () => {
  it("says what is wrong with it", async () => {
    const config = join(folder, "wrong.json");
    await writeFile(config, JSON.stringify(input(newOutput())));
    const words = ["train", "--config", config, "--queue"];
    const redis = await cellsam([...words, "redis://localhost"]);
    expect(redis.code).toBe(2);
    expect(redis.stderr).toMatch(/queue: must be the URL of a database, such as postgres:/);
    const both = await cellsam([...words, "postgres://localhost/cells", "--launcher", "srun"]);
    expect(both.code).toBe(2);
    expect(both.stderr).toMatch(/queue: is in place of devices and launcher/);
    const closed = await cellsam(["worker", "--queue", "postgres://ada:secret@127.0.0.1:9/cells"]);
    expect(closed.code).toBe(2);
    expect(closed.stderr).toMatch(/ERR_QUEUE: the queue at 127\.0\.0\.1:9\/cells cannot be used: .*ECONNREFUSED/);
    expect(closed.stderr).not.toMatch(/secret/);
  });

  it("says which packages it needs", async () => {
    const hook = join(folder, "without-bullmq.cjs");
    await writeFile(
      hook,
      `const Module = require("node:module");
       const find = Module._resolveFilename;
       Module._resolveFilename = (name, ...more) => {
         if (name === "bullmq") throw new Error("Cannot find module 'bullmq'");
         return find(name, ...more);
       };`,
    );
    const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
    const child = spawn(process.execPath, ["--require", hook, main, "worker", "--queue", "postgres://localhost/cells"]);
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    const [code] = await once(child, "close");
    expect(stderr).toMatch(/ERR_QUEUE: a queue needs two packages that are not installed here: npm install bullmq pg/);
    expect(code).toBe(2);
  });
});
