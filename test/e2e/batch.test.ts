// Jobs of batch systems: scripts that a real Slurm runs, stops and requeues, and manifests for Kubernetes.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kubernetesJob } from "../../lib/batch/kubernetes.js";
import { slurmScript } from "../../lib/batch/slurm.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { finished, type Slurm, startSlurm, which, withoutSlurm } from "../slurm.js";
import { outcome } from "../unit/runner-runs.js";
import { cellsam as run } from "./cellsam.js";

const checkout = join(import.meta.dirname, "../..");
const model = ["--weights", "cellsam-tiny", "--device", "cpu", "--threads", "1"];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-batch-"));
  for (const side of ["images", "masks"]) {
    await mkdir(join(folder, side));
    const files = readdirSync(join(checkout, "examples/nuclei", side))
      .sort()
      .slice(0, 4);
    for (const file of files) await cp(join(checkout, "examples/nuclei", side, file), join(folder, side, file));
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const cellsam = (...words: string[]) => run(words, undefined, folder);

async function script(name: string, ...words: string[]): Promise<string> {
  const { stdout, stderr } = await cellsam("slurm", ...words);
  expect(stderr).toBe("");
  await writeFile(join(folder, name), stdout);
  return stdout;
}

describe("a script for Slurm", () => {
  it("says what it asks for, and is sound for bash", async () => {
    const text = slurmScript("search", ["--config", "it's mine.yaml"], {
      atOnce: 4,
      time: "1-0",
      memPerCpu: "4G",
      before: ["module load cuda"],
    });
    for (const line of [
      "time=1-0",
      "ntasks=4",
      "cpus-per-task=8",
      "gpus-per-task=1",
      "mem-per-cpu=4G",
      "signal=B:TERM@300",
      "requeue",
    ])
      expect(text).toContain(`\n#SBATCH --${line}\n`);
    expect(text).toContain(`search --config 'it'\\''s mine.yaml' --resume --max-parallel 4 --launcher 'srun --exact`);
    const array = slurmScript("predict", ["images", "--out", "out"], { shards: 8, atOnce: 2, gpus: 0 });
    expect(array).toContain("\n#SBATCH --array=1-8%2\n");
    expect(array).toContain(`--resume --shard "$SLURM_ARRAY_TASK_ID/8" &`);
    expect(array).not.toContain("gpus");
    for (const [i, written] of [text, array].entries()) {
      const path = join(folder, `sound-${i}.sh`);
      await writeFile(path, written);
      execFileSync("bash", ["-n", path]);
      if (which("shellcheck")) execFileSync("shellcheck", [path]);
      else console.warn("SKIPPED: shellcheck is missing: apt-get install shellcheck");
    }
  });

  it("is refused with words that the command would refuse when its turn has come", async () => {
    const refused = async (...words: string[]) => {
      const { code, stdout, stderr } = await cellsam("slurm", ...words);
      expect([code, stdout]).toEqual([2, ""]);
      return stderr;
    };
    expect(await refused("train", "--config", "a.yaml", "--epoch1", "3")).toMatch(/unknown option '--epoch1'.*\n.*--epochs1/);
    expect(await refused("report", "output/first")).toMatch(/batch jobs run train, search, predict, evaluate, not report/);
    expect(await refused("train", "--config", "a.yaml", "--shards", "3")).toMatch(/--shards has no effect with train/);
    expect(await refused("predict", "images", "--out", "o", "--resume")).toMatch(/leave out --resume/);
    expect(await refused("predict", "images")).toMatch(/required option '-o, --out <folder>'/);
  });
});

const reason = withoutSlurm();
if (reason) console.warn(`SKIPPED: tests with a real Slurm (${reason})`);

describe.skipIf(reason !== null)("in a real Slurm with two nodes", () => {
  let slurm: Slurm;
  beforeAll(async () => {
    await mkdir(join(folder, "slurm"));
    slurm = await startSlurm(join(folder, "slurm"));
  });
  afterAll(() => slurm?.stop());
  const submit = (name: string) => slurm.run("sbatch", ["--parsable", name], folder).trim();
  const logs = async (pattern: RegExp) =>
    (
      await Promise.all(
        readdirSync(folder)
          .filter((name) => pattern.test(name))
          .map((name) => readFile(join(folder, name), "utf8")),
      )
    ).join("");

  it("an array of shards writes what one process writes", async () => {
    expect(await cellsam("predict", "images", ...model, "--out", "whole", "--format", "tiff,csv")).toMatchObject({ code: 0 });
    const words = ["predict", "images", ...model, "--out", "array", "--format", "tiff,csv"];
    await script("predict.sbatch", ...words, "--shards", "3", "--gpus", "0", "--cpus", "1", "--time", "30");
    slurm.run("sbatch", ["--test-only", "predict.sbatch"], folder);
    expect(await finished(slurm, submit("predict.sbatch"), folder)).toEqual(["COMPLETED"]);
    const text = async (out: string, file: string) =>
      (await readFile(join(folder, out, file), "utf8")).replaceAll(`${out}/`, "");
    for (const file of ["scores.json", "cells.csv"]) expect(await text("array", file)).toBe(await text("whole", file));
  });

  it("folds on both nodes go on after TERM and a requeue, to the files of a single process", async () => {
    await generateSynthetic({ directory: join(folder, "drawn"), images: 4, size: 64, seed: 1 });
    const stage = { total_epochs: 6 };
    const data = { img_path: "drawn/images", mask_path: "drawn/masks", output_name: "run" };
    const settings = { ...data, size: "tiny", tile_size: 64, k_folds: 2 };
    const more = { threads: 1, device: "cpu", save_visualizations: false, stage1_config: stage, stage2_config: stage };
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...settings, ...more }));
    expect(await cellsam("train", "--config", "config.json", "--output-dir", join(folder, "whole-run"))).toMatchObject({
      code: 0,
    });
    const words = ["train", "--config", "config.json", "--output-dir", join(folder, "slurm-run")];
    // Each fold has both cores of a node.
    await script("train.sbatch", ...words, "--at-once", "2", "--gpus", "0", "--cpus", "2", "--time", "30");
    slurm.run("sbatch", ["--test-only", "train.sbatch"], folder);
    const job = submit("train.sbatch");
    while (!/fold \d\/2, stage 1 epoch/.test(await logs(/^cellsam-train-.*log$/))) await sleep(200);
    // What Slurm does by itself shortly before the time limit.
    slurm.run("scancel", ["--signal=TERM", "--batch", job], folder);
    const states = await finished(slurm, job, folder);
    const log = await logs(/^cellsam-train-.*log$/);
    expect(states, log).toEqual(["COMPLETED"]);
    expect(log).toMatch(/TERM: stopping after this step/);
    expect(log).toMatch(new RegExp(`cellsam has saved; requeueing job ${job} \\(restart 1\\)`));
    expect(slurm.run("scontrol", ["show", "job", job], folder)).toMatch(/Restarts=1[\s\S]*NodeList=n\[1-2\]/);
    expect(await outcome(join(folder, "slurm-run"))).toEqual(await outcome(join(folder, "whole-run")));
  });

  it("a job that fails is not requeued", async () => {
    await script("wrong.sbatch", "train", "--config", "no-such.yaml", "--gpus", "0", "--cpus", "1");
    const job = submit("wrong.sbatch");
    expect(await finished(slurm, job, folder)).toEqual(["FAILED"]);
    expect(slurm.run("scontrol", ["show", "job", job], folder)).toMatch(/Restarts=0[\s\S]*ExitCode=2:0/);
  });
});

describe("a Job for Kubernetes", () => {
  it("has a pod for each shard, and counts a stop that saved as no failure", async () => {
    const job = parse(kubernetesJob("predict", ["images", "--out", "out"], { shards: 8, atOnce: 4, gpus: 0 }));
    expect(job).toMatchObject({
      apiVersion: "batch/v1",
      kind: "Job",
      spec: { completionMode: "Indexed", completions: 8, parallelism: 4, backoffLimitPerIndex: 3 },
    });
    const { rules } = job.spec.podFailurePolicy;
    const on = (code: number) =>
      rules.find((rule: { onExitCodes?: { values: number[] } }) => rule.onExitCodes?.values.includes(code));
    expect([on(75)?.action, on(2)?.action, on(1)]).toEqual(["Ignore", "FailJob", undefined]);
    const pod = job.spec.template.spec;
    // podFailurePolicy needs it.
    expect(pod.restartPolicy).toBe("Never");
    const [container] = pod.containers;
    expect(container.name).toBe(rules[0].onExitCodes.containerName);
    expect(container.args).toEqual(["predict", "images", "--out", "out", "--resume", "--shard", "auto/8"]);
    expect(container.resources.limits).toEqual({ cpu: 8, memory: "32Gi" });
    expect(container.volumeMounts[0].name).toBe(pod.volumes[0].name);
  });

  it("trains folds on the GPUs of one pod", async () => {
    const { stdout } = await cellsam("kubernetes", "train", "--config", "a.yaml", "--at-once", "4", "--memory", "16Gi");
    const { spec } = parse(stdout);
    expect(spec.completionMode).toBeUndefined();
    const [{ args, resources }] = spec.template.spec.containers;
    expect(args.slice(4)).toEqual(["--max-parallel", "4", "--devices", "cuda:0,cuda:1,cuda:2,cuda:3"]);
    expect(resources.requests).toEqual({ cpu: 32, memory: "64Gi", "nvidia.com/gpu": 4 });
  });
});
