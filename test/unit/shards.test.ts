// Shards of predict and evaluate: together they write what one process writes, also where some were killed.
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mergeEvaluation } from "../../lib/evaluation/shards.js";
import { shardOf, shareOf } from "../../lib/predict/shard.js";
import { mergePredictions } from "../../lib/predict/shardedFolder.js";
import { cellsam as run } from "../e2e/cellsam.js";

const checkout = join(import.meta.dirname, "../..");
const examples = join(checkout, "examples/nuclei");
let folder: string;
let images: string;
let masks: string;
let names: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-shards-"));
  [images, masks] = [join(folder, "images"), join(folder, "masks")];
  const files = readdirSync(join(examples, "images")).sort().slice(0, 5);
  for (const side of ["images", "masks"]) {
    await mkdir(join(folder, side));
    for (const file of readdirSync(join(examples, side)))
      if (files.some((name) => file.startsWith(name.split(".")[0] as string)))
        await cp(join(examples, side, file), join(folder, side, file));
  }
  names = files.map((file) => file.split(".")[0] as string);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const program = join(checkout, "dist/cli/main.js");
const model = ["--weights", "cellsam-tiny", "--device", "cpu", "--threads", "1"];

const cellsam = (...words: string[]) => run(words);
const predict = (out: string, ...more: string[]) =>
  cellsam("predict", images, ...model, "--out", out, "--format", "tiff,coco,csv", ...more);
const evaluate = (out: string, ...more: string[]) =>
  cellsam("evaluate", "--images", images, "--masks", masks, ...model, "--out", out, "--optimize-threshold", "f1", ...more);

/** Ends a command by force when it has written the first file of one image. */
async function killed(parts: string, words: string[]): Promise<void> {
  const child = spawn(process.execPath, [program, ...words], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const begun = () => existsSync(parts) && readdirSync(parts).some((name) => name.endsWith(".part.json"));
  while (child.exitCode === null && !begun()) await setTimeout(5);
  child.kill("SIGKILL");
  await ended;
}

/** The files that hold all images, without the path of their folder. */
async function shared(out: string): Promise<Record<string, string>> {
  const files = ["scores.json", "coco.json", "cells.csv"];
  const texts = await Promise.all(files.map((file) => readFile(join(out, file), "utf8")));
  return Object.fromEntries(
    files.map((file, i) => [file, texts[i]?.replaceAll(JSON.stringify(out).slice(1, -1), "") as string]),
  );
}

describe("a shard", () => {
  it("is a number of all, or that of a task of Slurm or a pod of Kubernetes", () => {
    expect(shardOf("3/8", {})).toEqual({ index: 3, count: 8 });
    const array = { SLURM_ARRAY_TASK_ID: "9", SLURM_ARRAY_TASK_MIN: "5", SLURM_ARRAY_TASK_MAX: "11" };
    const steps = { ...array, SLURM_ARRAY_TASK_STEP: "2", SLURM_ARRAY_TASK_COUNT: "4" };
    expect(shardOf("auto", steps)).toEqual({ index: 3, count: 4 });
    // Two tasks of eight, submitted again.
    const again = { ...array, SLURM_ARRAY_TASK_COUNT: "2" };
    expect(() => shardOf("auto", again)).toThrow(/has 2 tasks, not all from 5 to 11; use auto\/n/);
    expect(shardOf("auto/11", again)).toEqual({ index: 9, count: 11 });
    expect(shardOf("auto/4", { JOB_COMPLETION_INDEX: "0" })).toEqual({ index: 1, count: 4 });
    expect(() => shardOf("auto", { JOB_COMPLETION_INDEX: "0" })).toThrow(/use auto\/n/);
    expect(() => shardOf("auto", {})).toThrow(/neither SLURM_ARRAY_TASK_ID nor/);
    for (const wrong of ["0/4", "5/4", "1/0", "1", "a/b", "-1/4"])
      expect(() => shardOf(wrong, {})).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  });

  it("takes every image once", () => {
    const all = Array.from({ length: 11 }, (_, i) => i);
    const shares = [1, 2, 3, 4].map((index) => shareOf(all, { index, count: 4 }));
    expect(shares.flat().sort((a, b) => a - b)).toEqual(all);
    expect(shares.map(({ length }) => length)).toEqual([3, 3, 3, 2]);
  });
});

describe("predict", () => {
  let whole: Record<string, string>;
  beforeAll(async () => {
    const out = join(folder, "whole");
    expect(await predict(out)).toMatchObject({ code: 0 });
    whole = await shared(out);
  });

  it("by shards at the same time writes the same files, at whatever speed", async () => {
    const out = join(folder, "shards");
    const speeds = [["--set", "priority=low"], ["--set", "priority=normal"], []];
    const done = await Promise.all(speeds.map((speed, i) => predict(out, ...speed, "--shard", `${i + 1}/3`)));
    expect(done.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(done[0]?.stdout).toMatch(/^shard 1 of 3: \d+ cells in 2 images/);
    expect(await shared(out)).toEqual(whole);
    expect(readdirSync(out).sort()).toEqual(readdirSync(join(folder, "whole")).sort());
    // Everything is there: a shard that is started again has nothing to do.
    expect(await predict(out, "--shard", "2/3", "--resume")).toMatchObject({ code: 0 });
    expect(await shared(out)).toEqual(whole);
    expect(await mergePredictions(out)).toBeNull();
  });

  it("goes on after a kill, in another number of shards, without what was damaged", async () => {
    const out = join(folder, "killed");
    await killed(join(out, "scores"), [
      "predict",
      images,
      ...model,
      "--out",
      out,
      "--format",
      "tiff,coco,csv",
      "--shard",
      "1/1",
    ]);
    const refused = await predict(out, "--shard", "1/1");
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERR_OUTPUT_EXISTS/) });
    expect(await predict(out, "--shard", "1/2", "--resume")).toMatchObject({ code: 0 });
    await expect(mergePredictions(out)).rejects.toMatchObject({ code: "ERR_INCOMPLETE" });
    const early = await cellsam("merge", out);
    expect(early.code).toBe(2);
    expect(early.stderr).toMatch(/^ERR_INCOMPLETE: .* of 5 images are not done yet .*--resume/);
    const part = join(out, "scores", `${names[0]}.part.json`);
    await writeFile(part, (await readFile(part, "utf8")).replace('"cells":', '"cells": 1'));
    expect(await predict(out, "--shard", "2/2", "--resume")).toMatchObject({ code: 2 });
    expect(await predict(out, "--shard", "1/2", "--resume")).toMatchObject({ code: 0 });
    expect(await shared(out)).toEqual(whole);
    expect(existsSync(join(out, "scores"))).toBe(false);
  });

  it("of other images, settings or formats is refused", async () => {
    const out = join(folder, "others");
    expect(await predict(out, "--shard", "1/2")).toMatchObject({ code: 0 });
    const other = await predict(out, "--shard", "2/2", "--set", "inference.bbox_threshold=0.3");
    expect(other).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERR_RESUME: .*differs in: settings/) });
    const file = readdirSync(images)[0] as string;
    await cp(join(images, file), join(images, `z${file}`));
    const more = await predict(out, "--shard", "2/2").finally(() => rm(join(images, `z${file}`)));
    expect(more.stderr).toMatch(/^ERR_RESUME: .*images \(5, now 6\)/);
    const table = await cellsam("predict", images, ...model, "--out", out, "--format", "csv", "--shard", "1/2");
    expect(table.stderr).toMatch(/csv of shards are made of their label images/);
  });
});

describe("evaluate", () => {
  let whole: string;
  beforeAll(async () => {
    const out = join(folder, "whole.json");
    expect(await evaluate(out)).toMatchObject({ code: 0 });
    whole = await readFile(out, "utf8");
  });

  it("by shards writes the same file, and prints it when the last is done", async () => {
    const out = join(folder, "shards.json");
    const first = await evaluate(out, "--shard", "1/2");
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining("shard 1 of 2 is done") });
    expect((await cellsam("merge", out)).stderr).toMatch(/^ERR_INCOMPLETE: .*2 of 5 images/);
    const last = await evaluate(out, "--shard", "2/2");
    expect(last.stdout).toContain("5 images");
    expect(await readFile(out, "utf8")).toBe(whole);
    expect(existsSync(`${out}.parts`)).toBe(false);
    expect(await evaluate(out, "--shard", "2/2", "--resume")).toMatchObject({ code: 0 });
  });

  it("goes on after a kill, and by itself where it was complete", async () => {
    const out = join(folder, "killed.json");
    const words = ["evaluate", "--images", images, "--masks", masks, ...model, "--out", out, "--optimize-threshold", "f1"];
    await killed(`${out}.parts`, [...words, "--resume"]);
    const before = readdirSync(`${out}.parts`).length;
    expect(before).toBeGreaterThan(1);
    const again = await evaluate(out, "--shard", "1/1");
    expect(again).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERR_OUTPUT_EXISTS: .*--resume/) });
    expect(await evaluate(out, "--resume")).toMatchObject({ code: 0 });
    expect(await readFile(out, "utf8")).toBe(whole);
    await expect(mergeEvaluation(`${out}.parts`)).rejects.toMatchObject({ code: "ERR_NOTHING_TO_RESUME" });
  });

  it("needs a file for what it keeps", async () => {
    const { code, stderr } = await cellsam("evaluate", "--images", images, "--masks", masks, ...model, "--shard", "1/2");
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^ERR_CONFIG: --resume and --shard need --out/)]);
  });
});
