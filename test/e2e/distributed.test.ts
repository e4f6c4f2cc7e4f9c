// One model by several processes, from the command line: cellsam launch, torchrun, srun, and what happens when one of them ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { freePorts } from "../../lib/distributed/freePorts.js";
import { readJson } from "../../lib/files/json.js";
import type { ProcessMark } from "../../lib/pool/processMark.js";
import { Shim } from "../faults/cellsam.mjs";
import { descendantsOf, running } from "../processes.js";
import { type Slurm, startSlurm, withoutSlurm } from "../slurm.js";
import { cellsam, type Finished } from "./cellsam.js";

const main = join(import.meta.dirname, "../../dist/cli/main.js");
let folder: string;
let config: string;

/** Four training images make two updates an epoch. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-together-"));
  const data = await generateSynthetic({ directory: join(folder, "data"), images: 6, size: 96, seed: 5 });
  config = join(folder, "config.yaml");
  const stage = "{total_epochs: 2, learning_rate: 1.0e-3, accumulate: 2}";
  await writeFile(
    config,
    [
      `img_path: ${data.imgPath}`,
      `mask_path: ${data.maskPath}`,
      `output_dir: ${join(folder, "out")}`,
      "size: tiny\ndevice: cpu\nthreads: 1\ntile_size: 96\naugmentation: true\nstrategy: train_val_split\nval_ratio: 0.34\npreeval: true",
      `stage1_config: ${stage}\nstage2_config: ${stage}`,
    ].join("\n"),
  );
  expect((await cellsam(train("alone"))).code).toBe(0);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const train = (name: string, ...more: string[]) => ["train", "-c", config, "--name", name, "--json", ...more];

/** Losses of training and validation of both stages, one after another. */
async function losses(name: string): Promise<number[]> {
  const histories = await Promise.all(
    [1, 2].map(async (stage) => {
      const metrics = await readJson<{ history: Record<string, Record<string, number[]>> }>(
        join(folder, "out", name, `metrics/stage${stage}_metrics.json`),
      );
      return ["train", "val"].flatMap((side) => metrics.history[side]?.total_loss ?? []);
    }),
  );
  return histories.flat();
}

/** What was measured of each image before the training. */
function measuredBefore(name: string) {
  return readJson<object[]>(join(folder, "out", name, "results/preeval_per_image.json"));
}

/** A run is that of one process but for the rounding of sums, which Adam's first steps make larger. */
async function expectSame(name: string): Promise<void> {
  const [here, alone] = await Promise.all([losses(name), losses("alone")]);
  expect(here).toHaveLength(8);
  expect(alone).toHaveLength(8);
  for (const [i, loss] of here.entries()) expect(Math.abs(loss / (alone[i] as number) - 1)).toBeLessThan(1e-3);
}

/** Runs any program; `watch` sees its lines. */
async function run(
  command: string,
  args: readonly string[],
  { env = {}, watch = () => undefined }: { env?: NodeJS.ProcessEnv; watch?: (line: string) => void } = {},
) {
  const child = spawn(command, args, { cwd: folder, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  createInterface({ input: child.stdout }).on("line", (line) => {
    stdout += `${line}\n`;
    watch(line);
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}

/** Two processes as a launcher starts them, each with words of its own; `first` is the environment of process 0. */
async function two(
  words: readonly (readonly string[])[],
  atStep: (pids: (number | undefined)[]) => void = () => undefined,
  first: NodeJS.ProcessEnv = process.env,
) {
  const [port] = await freePorts(1);
  const shared = { WORLD_SIZE: "2", MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port) };
  const pids: (number | undefined)[] = [];
  let stepped = false;
  return Promise.all(
    words.map(async (own, rank) => {
      const env = { ...(rank === 0 ? first : process.env), ...shared, RANK: String(rank) };
      const child = spawn(process.execPath, [main, ...own], { env, stdio: ["ignore", "pipe", "pipe"] });
      pids[rank] = child.pid;
      let stderr = "";
      child.stderr.on("data", (text) => {
        stderr += text;
      });
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (stepped || !line.includes('"type":"step"')) return;
        stepped = true;
        atStep(pids);
      });
      const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
      return { code, signal, stderr };
    }),
  );
}

describe("cellsam launch", () => {
  it("trains as one process does, and prints once", async () => {
    const done = await cellsam(["launch", "-n", "2", ...train("launched")]);
    expect(done.stderr).toBe("");
    expect(done.code).toBe(0);
    expect(done.events.filter(({ type }) => type === "result")).toHaveLength(1);
    await expectSame("launched");
    // Both have measured the model that the training starts from, an image each.
    const [both, one] = await Promise.all(["launched", "alone"].map(measuredBefore));
    expect(one).toHaveLength(2);
    expect(both).toEqual(one);
  });

  it("saves on TERM, twice in a row as from a terminal, ends with 75, and one process goes on", async () => {
    let sent = false;
    const stopped: Finished = await cellsam(["launch", "-n", "2", ...train("stopped")], (event, child) => {
      if (sent || event.type !== "step" || event.epoch !== 2) return;
      sent = child.kill("SIGTERM");
      child.kill("SIGTERM");
    });
    expect(stopped.code).toBe(75);
    const state = await readFile(join(folder, "out/stopped/resume/run.json"), "utf8");
    expect(state).toContain('"status": "running"');
    expect((await cellsam(train("stopped", "--resume"))).code).toBe(0);
    await expectSame("stopped");
  });

  it.skipIf(process.platform !== "linux")("leaves no process behind when it is killed, and they save", async () => {
    let started: ProcessMark[] = [];
    const killed = await cellsam(["launch", "-n", "2", ...train("orphans")], (event, child) => {
      if (started.length > 0 || event.type !== "step" || event.epoch !== 2) return;
      started = descendantsOf(child.pid as number);
      child.kill("SIGKILL");
    });
    expect(killed.signal).toBe("SIGKILL");
    expect(started.length).toBeGreaterThanOrEqual(2);
    await expect.poll(() => running(started), { timeout: 900_000 }).toEqual([]);
    const { progress } = await readJson<{ progress: object | null }>(join(folder, "out/orphans/resume/run.json"));
    expect(progress).not.toMatchObject({ epoch: 1, step: 0 }); // that of the last epoch that was saved before
    expect((await cellsam(train("orphans", "--resume"))).code).toBe(0);
    await expectSame("orphans");
  });

  it("refuses what it cannot start", async () => {
    const { code, stderr } = await cellsam(["launch", "-n", "2", "predict", "images"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/launch starts train or finetune, not predict/);
    const few = await cellsam(["launch", "-n", "3", ...train("few")]);
    expect(few.code).toBe(2);
    expect(few.stderr).toMatch(/stage1_config\.accumulate is 2: 3 processes need at least 3/);
  });
});

describe("processes that train together", () => {
  it("all stop and save when only the second one is told to", async () => {
    const ends = await two([train("second"), train("second")], ([, pid]) => void (pid && process.kill(pid, "SIGTERM")));
    expect(ends.map(({ code }) => code)).toEqual([75, 75]);
    expect(ends[0]?.stderr).toMatch(/another process of this training was told to stop/);
    expect((await cellsam(["launch", "-n", "2", ...train("second", "--resume")])).code).toBe(0);
    await expectSame("second");
  });

  it.each([0, 1])("end when process %i is killed, with what was saved intact", async (killed) => {
    const name = `killed-${killed}`;
    const ends = await two([train(name), train(name)], (pids) => void (pids[killed] && process.kill(pids[killed], "SIGKILL")));
    expect(ends[killed]?.signal).toBe("SIGKILL");
    expect(ends[1 - killed]?.code).toBe(1);
    expect(ends[1 - killed]?.stderr).toMatch(/a process of this training has ended or does not answer/);
    expect((await cellsam(["launch", "-n", "2", ...train(name, "--resume")])).code).toBe(0);
    await expectSame(name);
  });

  it.skipIf(process.platform !== "linux")("go on from the save before the one in which process 0 is killed", async () => {
    const states = join(folder, "out/saving/resume");
    const shim = new Shim(folder, states);
    shim.ask({ mode: "trace" });
    const traced = await run(process.execPath, [main, ...train("saving")], { env: shim.env });
    expect(traced.code, traced.stderr).toBe(0);
    const named = shim.takeTrace().filter(({ kind, other }) => kind === "r" && /\/state_[^/]*$/.test(other));
    const second = named[1]?.number as number;
    expect(second).toBeGreaterThan(0);
    await rm(join(folder, "out/saving"), { recursive: true });
    // Before the state of the second epoch gets its name.
    shim.ask({ mode: "kill", at: second - 1 });
    const ends = await two([train("saving"), train("saving")], undefined, shim.env);
    expect(ends[0]?.signal).toBe("SIGKILL");
    expect(ends[1]?.stderr).toMatch(/ERR_PEER_LOST/);
    expect((await cellsam(["launch", "-n", "2", ...train("saving", "--resume")])).code).toBe(0);
    await expectSame("saving");
  });

  it("refuse to train with different settings", async () => {
    const ends = await two([train("mixed"), train("mixed", "--lr2", "0.5")]);
    for (const { code, stderr } of ends) {
      expect(code).toBe(2);
      expect(stderr).toMatch(/other settings than process 0: stage2_config\.learning_rate/);
    }
  });
});

describe("other launchers", () => {
  it("torchrun starts them", async () => {
    const launcher = [
      process.env.CELLSAM_PYTHON ?? "python3",
      "-m",
      "torch.distributed.run",
      "--no-python",
      "--nproc-per-node",
      "2",
      "--master-port",
    ];
    const [command = "", ...args] = [
      ...launcher,
      String((await freePorts(1))[0]),
      process.execPath,
      main,
      ...train("torchrun"),
    ];
    const done = await run(command, args);
    expect(done.code, done.stderr).toBe(0);
    await expectSame("torchrun");
  });
});

const missing = withoutSlurm();
if (missing) console.warn(`SKIPPED: srun starts no processes here: ${missing}`);

describe.skipIf(missing)("srun", () => {
  let slurm: Slurm;
  let machines: string;
  beforeAll(async () => {
    machines = await mkdtemp(join(tmpdir(), "cellsam-slurm-"));
    slurm = await startSlurm(machines);
  });
  afterAll(async () => {
    await slurm?.stop();
    await rm(machines, { recursive: true, force: true });
  });

  // Both nodes of the test's Slurm are this machine, whose names lead nowhere.
  it("starts them on two nodes", async () => {
    const env = { ...slurm.env, MASTER_ADDR: "127.0.0.1" };
    const done = await run("srun", ["-N2", "-n2", "--kill-on-bad-exit=1", process.execPath, main, ...train("srun")], { env });
    expect(done.code, done.stderr).toBe(0);
    await expectSame("srun");
  });

  it("stops them with 75", async () => {
    let sent = false;
    const args = ["-N1", "-n2", "--kill-on-bad-exit=1", "--job-name=stop", process.execPath, main, ...train("srun-stopped")];
    const watch = (line: string) => {
      if (sent || !line.includes('"type":"step"')) return;
      sent = true;
      slurm.run("scancel", ["--name=stop", "--signal=TERM"], folder);
    };
    const done = await run("srun", args, { env: slurm.env, watch });
    expect(done.code, done.stderr).toBe(75);
  });
});
