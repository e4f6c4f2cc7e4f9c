import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { readJson } from "../../lib/files/json.js";
import type { ProcessMark } from "../../lib/pool/processMark.js";
import { descendantsOf, running } from "../processes.js";
import { cellsam } from "./cellsam.js";

let folder: string;
let flags: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-search-e2e-"));
  const data = await generateSynthetic({ directory: join(folder, "data"), images: 4, size: 64, seed: 5 });
  const config = join(folder, "config.yaml");
  const stage = "{total_epochs: 2, learning_rate: 1.0e-3}";
  const model = "strategy: train_val_split\nsize: tiny\ndevice: cpu\nthreads: 1\ntile_size: 64\nsave_visualizations: false";
  const where = `img_path: ${data.imgPath}\nmask_path: ${data.maskPath}\noutput_name: cells`;
  await writeFile(config, `${where}\n${model}\nstage1_config: ${stage}\nstage2_config: ${stage}`);
  const space = join(folder, "space.yaml");
  await writeFile(space, "stage1_learning_rates: [1.0e-3, 1.0e-4]\nstage2_learning_rates: [1.0e-3, 1.0e-4]\n");
  flags = ["search", "-c", config, "--space", space, "--trials", "3", "--metric", "stage2.best_loss", "--json"];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const search = (name: string, more: string[] = [], watch?: Parameters<typeof cellsam>[1]) =>
  cellsam([...flags, "--search-dir", join(folder, name), ...more], watch);

/** The results without times and without the name of the folder. */
async function outcome(name: string): Promise<unknown> {
  const text = await readFile(join(folder, name, "optimization_results.json"), "utf8");
  return JSON.parse(text.replaceAll(join(folder, name), ""), (key, value) => (key === "seconds" ? undefined : value));
}

test("D74: a search in parallel, stopped by SIGTERM or killed, ends as one that was left alone", async () => {
  const whole = await search("whole");
  expect(whole.code).toBe(0);
  expect(whole.events.at(-1)).toMatchObject({ type: "search", result: { n_trials: 3, mode: "min", counts: { completed: 3 } } });
  const files = await readdir(join(folder, "whole"));
  expect(files).toEqual(
    expect.arrayContaining([".tiles", "best_configuration.json", "cells_trial_3", "hyperparameter_search.log"]),
  );
  expect((await readdir(join(folder, "whole", ".tiles"))).filter((file) => file.endsWith(".store"))).toHaveLength(1);

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    let sent = false;
    let started: ProcessMark[] = [];
    const ended = await search(signal, ["--max-parallel", "2"], (event, child) => {
      if (sent || event.type !== "trialEpoch" || event.stage !== 2) return;
      if (process.platform === "linux") started = descendantsOf(child.pid as number);
      sent = child.kill(signal);
    });
    expect([ended.code, ended.signal]).toEqual(signal === "SIGTERM" ? [75, null] : [null, "SIGKILL"]);
    expect(existsSync(join(folder, signal, "optimization_results.json"))).toBe(false);
    const resumed = await search(signal, ["--max-parallel", "2", "--resume"]);
    expect(resumed.stderr).not.toContain("ERR_");
    expect(resumed.code).toBe(0);
    expect(await outcome(signal)).toEqual(await outcome("whole"));
    await expect.poll(() => running(started), { timeout: 900_000 }).toEqual([]);
  }
});

test("the best configuration is trained once more with another strategy", async () => {
  const last = await search("whole", ["--resume", "--final", "full_dataset"]);
  expect(last.stderr).not.toContain("ERR_");
  expect(last.code).toBe(0);
  const { best_trial } = await readJson<{ best_trial: { hyperparameters: { stage1_lr: number } } }>(
    join(folder, "whole", "optimization_results.json"),
  );
  const config = await readJson<Record<string, unknown>>(join(folder, "whole", "cells_final", "experiment_config.json"));
  expect(config).toMatchObject({
    strategy: "full_dataset",
    stage1_config: { learning_rate: best_trial.hyperparameters.stage1_lr },
  });
});
