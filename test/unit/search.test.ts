import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { ExperimentConfig, type ExperimentInput } from "../../lib/config/experiment.js";
import { searchOptions } from "../../lib/config/search.js";
import { createDefaultParamSpace, HyperparameterSpace, type SpaceInput } from "../../lib/config/space.js";
import { readJson } from "../../lib/files/json.js";
import { markOf } from "../../lib/pool/processMark.js";
import { AshaPruner } from "../../lib/search/asha.js";
import type { SearchEvent } from "../../lib/search/events.js";
import { FoldPruner, hopeless, studentT95 } from "../../lib/search/folds.js";
import { importanceOf } from "../../lib/search/importance.js";
import { Journal, readJournal } from "../../lib/search/journal.js";
import { trialMetric } from "../../lib/search/metric.js";
import { HyperparameterOptimizer, type OptimizerOptions } from "../../lib/search/optimizer.js";
import type { SearchResult } from "../../lib/search/results.js";
import { gridSize, gridTrials, randomTrials } from "../../lib/search/trials.js";

const program = fileURLToPath(new URL("./search-trial.mjs", import.meta.url));
const base: ExperimentInput = { imgPath: "images", maskPath: "masks", outputName: "base", seed: 5 };
const rates = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-search-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
let outputs = 0;
const newFolder = () => join(folder, `search-${outputs++}`);

function optimizer(behaviour: string, outputDir: string, more: Partial<OptimizerOptions> = {}, epochs = 3) {
  const baseConfig = { ...base, outputName: behaviour, stage1Config: { totalEpochs: epochs } };
  return new HyperparameterOptimizer({
    baseConfig,
    paramSpace: { stage1LearningRates: rates },
    outputDir,
    trialProgram: program,
    ...more,
  });
}

/** A result without what may differ between equal searches. */
function timeless(result: SearchResult): unknown {
  return JSON.parse(JSON.stringify(result, (key, value) => (key === "seconds" ? undefined : value)));
}

describe("the space", () => {
  const example: SpaceInput = {
    stage1LearningRates: [1e-4, 1e-5],
    stage2LearningRates: [1e-4, 5e-5],
    focalGammas: [2, 3],
    gammas: [2.1, 2.4],
    augmentationFlags: [false, true],
  };

  test("D20: an unset list means the base's single value, so the README's example has 32 trials", () => {
    const { trials } = gridTrials({ ...base, stainTransform: true }, new HyperparameterSpace(example), 256);
    expect(trials).toHaveLength(32);
    expect(new Set(trials.map(({ hyperparameters }) => JSON.stringify(hyperparameters))).size).toBe(32);
    expect(Object.keys(trials[0]?.hyperparameters ?? {})).toEqual([
      "stage1_lr",
      "stage2_lr",
      "focal_gamma",
      "gamma",
      "augmentation",
    ]);
    expect(gridSize(createDefaultParamSpace())).toBe(2_985_984);
    expect(gridSize(createDefaultParamSpace({ focused: true }))).toBe(16);
  });

  test("D20: combinations that mean the same training are one trial", () => {
    const { trials, notes } = gridTrials(base, new HyperparameterSpace(example), 256);
    expect(trials).toHaveLength(16);
    expect(notes.join("\n")).toMatch(
      /gamma is searched but has no effect[\s\S]*16 combinations were left out that give the same/,
    );
    const flags = new HyperparameterSpace({ augmentationFlags: [false, true], complexAugmentationFlags: [false, true] });
    const augmented = gridTrials(base, flags, 256).trials.map(({ hyperparameters }) => hyperparameters);
    expect(augmented).toEqual([
      { augmentation: false },
      { augmentation: true, complex_augmentation: false },
      { augmentation: true, complex_augmentation: true },
    ]);
    // A pool of the base holds where there is something to pool.
    const pool = { ...base, augmentation: true, complexAugmentation: true, augmentationVariants: 4 };
    const pooled = gridTrials(pool, flags, 256).trials.map(({ config }) => config.augmentationVariants);
    expect(pooled).toEqual([0, 0, 4]);
  });

  test("D21, D72: a trial changes the searched settings and nothing else", () => {
    const own = new ExperimentConfig({
      ...base,
      stage1Config: { patience: 3, weightDecay: 0.02 },
      stage2Config: { onlineHardNegativeMining: true, ohemFraction: 0.3, learningRate: 0.5 },
      tileSize: 128,
    });
    const [trial] = gridTrials(own, new HyperparameterSpace({ stage1LearningRates: [7e-4] }), 9).trials;
    const expected = JSON.parse(JSON.stringify(own));
    expected.stage1Config.learningRate = 7e-4;
    expect(JSON.parse(JSON.stringify(trial?.config))).toEqual(expected);
  });

  it("takes snake_case, ranges and other settings, and refuses what it does not know", () => {
    const snake = new HyperparameterSpace({
      stage1_learning_rates: [1e-3],
      settings: { "stage1_config.weight_decay": [0, 0.1] },
    } as never);
    const trials = gridTrials(base, snake, 9).trials;
    expect(trials.map(({ config }) => [config.stage1Config.learningRate, config.stage1Config.weightDecay])).toEqual([
      [1e-3, 0],
      [1e-3, 0.1],
    ]);
    expect(() => new HyperparameterSpace({ stage1LearningRate: [1] } as never)).toThrow(/stage1LearningRates/);
    expect(() => new HyperparameterSpace({ stage1LearningRates: [] })).toThrow(/at least one/);
    expect(() => new HyperparameterSpace({ batchSizes: [0] })).toThrow(/integer >= 1/);
    const drawn = new HyperparameterSpace({
      ranges: { stage1LearningRates: { min: 1e-5, max: 1e-2, log: true }, batchSizes: { min: 1, max: 4 } },
    });
    const found = randomTrials(base, drawn, 200, 1).trials.map(({ config }) => config);
    for (const { stage1Config, batchSize } of found) {
      expect(stage1Config.learningRate).toBeGreaterThanOrEqual(1e-5);
      expect(stage1Config.learningRate).toBeLessThanOrEqual(1e-2);
      expect([1, 2, 3, 4]).toContain(batchSize);
    }
    // A third of the draws for each decade.
    const low = found.filter(({ stage1Config }) => stage1Config.learningRate < 1e-4).length;
    expect(low).toBeGreaterThan(40);
    expect(low).toBeLessThan(95);
    expect(() => gridTrials(base, drawn, 9)).toThrow(/no grid/);
  });

  it("draws with the seed, without duplicates, and continues a shorter search", () => {
    const space = new HyperparameterSpace({ stage1LearningRates: rates, stage2LearningRates: rates });
    const records = (count: number, seed: number) =>
      randomTrials(base, space, count, seed).trials.map(({ hyperparameters }) => JSON.stringify(hyperparameters));
    expect(records(12, 3)).toEqual(records(12, 3));
    expect(records(12, 3)).not.toEqual(records(12, 4));
    expect(records(20, 3).slice(0, 12)).toEqual(records(12, 3));
    expect(new Set(records(25, 3)).size).toBe(25);
    expect(randomTrials(base, space, 99, 3)).toMatchObject({
      trials: { length: 25 },
      notes: ["the space holds 25 different trials, not 99"],
    });
    expect(
      new Set(randomTrials(base, createDefaultParamSpace(), 50, 1).trials.map(({ config }) => JSON.stringify(config))).size,
    ).toBe(50);
    expect(() => randomTrials(base, space, 0, 3)).toThrow(/>= 1/);
    expect(() => gridTrials(base, createDefaultParamSpace(), 256)).toThrow(
      expect.objectContaining({ code: "ERR_SEARCH_SIZE" }),
    );
    expect(() => gridTrials(base, space, 24)).toThrow(/25 trials/);
  });
});

describe("the metric", () => {
  test("D18: is the number that results hold, the mean over the folds that have it", () => {
    const results = [{ best_f1: { f1: 0.5 } }, { best_f1: { f1: 0.7 } }, { best_f1: null }, { best_f1: { f1: Number.NaN } }];
    expect(trialMetric(results, "best_f1", "f1")).toBeCloseTo(0.6);
    expect(trialMetric(results, "bestF1", "f1")).toBeCloseTo(0.6);
    expect(trialMetric([{ stage1: { best_loss: 2 } }], "stage1", "best_loss")).toBe(2);
    expect(trialMetric([{ evaluation: { a: { b: [1, 3] } } }], "evaluation.a", "b")).toBe(2);
    expect(trialMetric([{}], "best_f1", "f1")).toBeNull();
    expect(searchOptions({ outputDir: "x", metricName: "stage1", metricKey: "best_loss" }).mode).toBe("min");
    expect(searchOptions({ output_dir: "x" })).toMatchObject({
      mode: "max",
      metricName: "best_f1",
      metricKey: "f1",
      maxParallel: 1,
    });
    expect(() => searchOptions({ outputDir: "x", eta: 4 })).toThrow(/no effect without pruner: asha/);
  });
});

describe("a search", () => {
  test("D73: gives the same results one at a time and in parallel, and writes its files", async () => {
    const one = await optimizer("fine", newFolder()).runGridSearch();
    const out = newFolder();
    const events: SearchEvent[] = [];
    const two = optimizer("fine", out, { maxParallel: 2 });
    const channel = two.events();
    const running = two.runGridSearch();
    for await (const event of channel) events.push(event);
    const result = await running;
    expect(timeless(result)).toEqual(timeless(one));
    expect(result).toMatchObject({
      n_trials: 5,
      metric_optimized: "best_f1.f1",
      best_trial: { trial_id: 3, success: true },
      counts: { completed: 5 },
    });
    expect(result.all_trials.map(({ trial_id }) => trial_id)).toEqual([1, 2, 3, 4, 5]);
    expect(result.top[0]).toEqual({
      trial_id: 3,
      metric_value: result.best_metric_value,
      hyperparameters: { stage1_lr: 1e-3 },
    });
    expect(await readJson(join(out, "optimization_results.json"))).toEqual(JSON.parse(JSON.stringify(result)));
    expect(await readJson(join(out, "best_configuration.json"))).toEqual({ stage1_lr: 1e-3 });
    expect(await readFile(join(out, "hyperparameter_search.log"), "utf8")).toMatch(/trial 3 completed 0\.75/);
    expect(events.filter((event) => event.type === "trial" && event.state === "completed")).toHaveLength(5);
    expect(existsSync(join(out, "search.lock"))).toBe(false);
    await expect(optimizer("fine", out).runGridSearch()).rejects.toMatchObject({ code: "ERR_OUTPUT_EXISTS" });
    await expect(optimizer("fine", out, { resume: true, mode: "min" }).runGridSearch()).rejects.toThrow(/changed: mode/);
    expect(timeless(await optimizer("fine", out, { overwrite: true }).runGridSearch())).toEqual(timeless(one));
  });

  test("D93: trials have reproducible names", async () => {
    const out = newFolder();
    const result = await optimizer("fine", out).runRandomSearch({ nTrials: 2 });
    expect(result.all_trials.map(({ name }) => name)).toEqual(["fine_trial_1", "fine_trial_2"]);
    const config = await readJson<ExperimentInput>(join(out, "fine_trial_2", "config.json"));
    expect(config).toMatchObject({ outputName: "fine_trial_2", outputDir: out, seed: 5 });
  });

  test("D74: a process that dies fails one trial, and a resumed search tries it again", async () => {
    const out = newFolder();
    const result = await optimizer("crash", out, { maxParallel: 2 }).runGridSearch();
    expect(result.counts).toEqual({ completed: 4, failed: 1, pruned: 0 });
    expect(result.all_trials[1]).toMatchObject({ success: false, metric_value: null, error: { code: "ERR_TRIAL_DIED" } });
    // Windows knows no signals: a process that is ended by force exits with 1.
    const how = process.platform === "win32" ? "ended with code 1 and no result" : "SIGKILL";
    expect(result.all_trials[1]?.error?.message).toContain(how);
    await writeFile(join(out, "sound"), "");
    const again = await optimizer("crash", out, { maxParallel: 2, resume: true }).runGridSearch();
    expect(again.counts).toEqual({ completed: 5, failed: 0, pruned: 0 });
    const other = await optimizer("fine", newFolder()).runGridSearch();
    expect(again.all_trials.map(({ metric_value }) => metric_value)).toEqual(
      other.all_trials.map(({ metric_value }) => metric_value),
    );
  });

  test("a resumed search tries again what failed for lack of space, and with retryFailed what failed otherwise", async () => {
    const counts = async (base: string, more: object, out = newFolder()) => {
      const first = await optimizer(base, out).runGridSearch();
      await writeFile(join(out, "sound"), "");
      return [first.counts.failed, (await optimizer(base, out, { resume: true, ...more }).runGridSearch()).counts.failed];
    };
    // Trial 1 fails, of trial 2 its only fold: both for ENOSPC.
    expect(await counts("space", {})).toEqual([2, 0]);
    expect(await counts("some", {})).toEqual([1, 1]);
    expect(await counts("some", { retryFailed: true })).toEqual([1, 0]);
  });

  test("D18: failed trials and trials without the metric never win, and of equals the first does", async () => {
    const some = await optimizer("some", newFolder(), {
      mode: "min",
      metricName: "stage1",
      metricKey: "best_loss",
    }).runGridSearch();
    expect(some.best_trial.trial_id).toBe(3);
    expect(some.all_trials[0]).toMatchObject({ state: "failed", error: { code: "ERR_DATASET" } });
    const worst = await optimizer("some", newFolder(), { mode: "min" }).runGridSearch();
    expect(worst.best_trial.trial_id).toBe(5);
    const nan = await optimizer("nan", newFolder(), { mode: "min" }).runGridSearch();
    expect(nan.all_trials[0]).toMatchObject({ state: "failed", metric_value: null, error: { code: "ERR_NO_METRIC" } });
    expect(nan.all_trials[0]?.error?.message).toContain("stage1.best_loss");
    expect((await optimizer("tie", newFolder(), { maxParallel: 3 }).runGridSearch()).best_trial.trial_id).toBe(1);
    const out = newFolder();
    await expect(optimizer("broken", out).runGridSearch()).rejects.toMatchObject({ code: "ERR_SEARCH_FAILED" });
    expect(existsSync(join(out, "best_configuration.json"))).toBe(false);
  });

  test("D74: stopped, or with a torn last line, a search goes on to the same results", async () => {
    const whole = await optimizer("slow", newFolder(), {}, 6).runGridSearch();
    const out = newFolder();
    const stop = new AbortController();
    const first = optimizer("slow", out, { maxParallel: 2, signal: stop.signal }, 6);
    const channel = first.events();
    const running = first.runGridSearch();
    running.catch(() => undefined);
    await expect(
      (async () => {
        for await (const event of channel)
          if (event.type === "trialEpoch" && event.trialId === 3 && event.epoch === 2) stop.abort(new Error("enough"));
      })(),
    ).rejects.toThrow("enough");
    await expect(running).rejects.toThrow("enough");
    const { lines } = await readJournal(join(out, "trials.jsonl"));
    expect(lines.filter(({ state }) => state === "completed").length).toBeLessThan(5);
    await appendFile(join(out, "trials.jsonl"), '{"trial_id":4,"state":"comp');
    const resumed = await optimizer("slow", out, { maxParallel: 2, resume: true }, 6).runGridSearch();
    expect(timeless(resumed)).toEqual(timeless(whole));
    expect((await readJournal(join(out, "trials.jsonl"))).lines.filter(({ state }) => state === "completed")).toHaveLength(5);
  });

  it("is not resumed from a plan or a journal in which a digit has changed", async () => {
    const out = newFolder();
    await optimizer("fine", out).runRandomSearch(2);
    for (const [name, digit] of [
      ["search.json", '"seed": 5'],
      ["trials.jsonl", '"metric_value":0.'],
    ] as const) {
      const text = await readFile(join(out, name), "utf8");
      expect(text).toContain(digit);
      await writeFile(join(out, name), text.replace(digit, digit.replace(/.$/, "7")));
      const error = { code: "ERR_RESUME", message: expect.stringContaining(name) };
      await expect(optimizer("fine", out, { resume: true }).runRandomSearch(2)).rejects.toMatchObject(error);
      await writeFile(join(out, name), text);
    }
    expect((await optimizer("fine", out, { resume: true }).runRandomSearch(2)).n_trials).toBe(2);
  });

  it("is refused while another process searches in the folder", async () => {
    const out = newFolder();
    const other = spawn(process.execPath, ["-e", "setTimeout(() => {}, 30_000)"]);
    try {
      await optimizer("fine", out).runRandomSearch(1);
      const started = existsSync("/proc/self/stat")
        ? (await readFile(`/proc/${other.pid}/stat`, "utf8")).split(")").at(-1)?.trim().split(" ")[19]
        : null;
      await writeFile(join(out, "search.lock"), JSON.stringify({ pid: other.pid, host: hostname(), processStarted: started }));
      await expect(optimizer("fine", out, { resume: true }).runRandomSearch(1)).rejects.toMatchObject({
        code: "ERR_SEARCH_RUNNING",
      });
      if (started === null) return;
      await writeFile(
        join(out, "search.lock"),
        JSON.stringify({ pid: process.pid, host: hostname(), processStarted: markOf(process.pid).started }),
      );
      await expect(optimizer("fine", out, { resume: true }).runRandomSearch(1)).rejects.toMatchObject({
        code: "ERR_SEARCH_RUNNING",
      });
      // The same number, but not the same process.
      await writeFile(join(out, "search.lock"), JSON.stringify({ pid: other.pid, host: hostname(), processStarted: "1" }));
      expect((await optimizer("fine", out, { resume: true }).runRandomSearch(3)).n_trials).toBe(3);
    } finally {
      other.kill();
    }
  });

  it("gives the same results where a launcher starts the trials", async () => {
    const launcher = `sh -c 'echo "srun: queued"; exec "$@"' --`;
    const elsewhere = await optimizer("fine", newFolder(), { maxParallel: 2, launcher }).runGridSearch();
    expect(timeless(elsewhere)).toEqual(timeless(await optimizer("fine", newFolder()).runGridSearch()));
  });

  it("waits for a trial of an earlier search that another machine is still saving", async () => {
    const out = newFolder();
    await optimizer("fine", out).runRandomSearch(1);
    const { journal } = await Journal.open(join(out, "trials.jsonl"));
    const mark = { pid: process.pid, host: `${hostname()}-2`, started: null };
    await journal.append({ trial_id: 2, state: "running", device: "cpu", process: mark });
    await journal.close();
    const lock = join(out, ".fine_trial_2.lock");
    await writeFile(lock, JSON.stringify(mark));
    const search = optimizer("fine", out, { resume: true });
    const channel = search.events();
    const running = search.runRandomSearch(2);
    const seen: string[] = [];
    for await (const event of channel) {
      if (event.type === "trial") seen.push(`${event.trialId} ${event.state}`);
      if (event.type !== "notice") continue;
      seen.push(event.message);
      await rm(lock); // it has saved
    }
    const waiting = expect.stringContaining(`still saving (process ${mark.pid} on ${mark.host})`);
    expect(seen).toEqual([waiting, "2 begin", "2 completed"]);
    expect((await running).counts.completed).toBe(2);
  });

  it("prunes with asha, and counts pruned trials as neither failed nor best", async () => {
    const out = newFolder();
    const pruned = optimizer(
      "slow",
      out,
      { pruner: "asha", eta: 2, minEpochs: 1, paramSpace: { stage1LearningRates: [1e-3, 1e-4, 1e-5] } },
      12,
    );
    const result = await pruned.runGridSearch();
    expect(result.counts).toEqual({ completed: 1, failed: 0, pruned: 2 });
    expect(result.best_trial.trial_id).toBe(1);
    expect(result.all_trials[1]).toMatchObject({ state: "pruned", success: false, metric_value: null });
    expect(result.pruner).toContain("asha");
    const { lines } = await readJournal(join(out, "trials.jsonl"));
    expect(lines).toContainEqual(
      expect.objectContaining({ trial_id: 2, state: "check", check: "stage 1 epoch 1", keep: false }),
    );
  });
});

describe("pruning rules", () => {
  const epoch = (trial: number, number: number, loss: number | null, stage: 1 | 2 = 1) =>
    [trial, { type: "epoch", fold: 1, stage, epoch: number, epochs: 100, loss }] as const;

  it("asha keeps the best 1/eta of those that have come as far, at least one", () => {
    const asha = new AshaPruner({ eta: 3, minEpochs: 2 }, ["stage1Config.learningRate"]);
    const keep = (...report: Parameters<typeof epoch>) => asha.judge(...epoch(...report))?.keep;
    expect(keep(1, 1, 5)).toBeUndefined();
    expect(keep(1, 2, 4)).toBe(true);
    expect(keep(2, 2, 5)).toBe(false);
    expect(keep(3, 2, 3)).toBe(true);
    expect(keep(4, 2, 3.5)).toBe(false);
    expect(keep(5, 2, null)).toBe(false);
    // Six at the rung: the best two go on.
    expect(keep(6, 2, 3.2)).toBe(true);
    expect(keep(1, 6, 9)).toBe(true);
    expect(asha.judge(...epoch(3, 7, 2))).toEqual({ check: "stage 1 epoch 6", value: 2, keep: true });
    expect(keep(6, 6, 2.9)).toBe(false);
    expect(keep(1, 2, 9, 2)).toBe(true);
  });

  it("asha refuses to compare losses that do not measure the same", () => {
    const options = { eta: 3, minEpochs: 1 };
    const half = new AshaPruner(options, ["stage1Config.ceLossWeight"]);
    expect(half.notes[0]).toContain("stage 1");
    expect(half.judge(...epoch(1, 1, 1))).toBeNull();
    expect(half.judge(...epoch(1, 1, 1, 2))?.keep).toBe(true);
    expect(() => new AshaPruner(options, ["stage1Config.ceLossWeight", "stage2Config.focalGamma"])).toThrow(/measure/);
  });

  it("folds ends a trial that a paired one-sided t test finds worse", () => {
    const best = [0.8, 0.7, 0.9, 0.75, 0.85];
    expect(hopeless([0.6, 0.5, 0.7], best, 5, "max")).toBe(true);
    expect(hopeless([0.6, 0.5, 0.7], best, 5, "min")).toBe(false);
    expect(hopeless([0.5, 0.69], best, 5, "max")).toBe(false);
    expect(hopeless([0.1], best, 5, "max")).toBe(false);
    expect(hopeless([0.8, 0.7, 0.9], best, 5, "max")).toBe(false);
    const options = { minFolds: 2, mode: "max", metricName: "best_f1", metricKey: "f1" } as const;
    const pruner = new FoldPruner(options, "k_fold");
    const fold = (trial: number, number: number, value: number) =>
      pruner.judge(trial, { type: "fold", fold: number, folds: 5, metrics: { best_f1: value } })?.keep;
    expect([fold(2, 1, 0.1), fold(2, 2, 0)]).toEqual([true, true]);
    pruner.completed(1, best);
    expect([fold(3, 1, 0.6), fold(3, 2, 0.5), fold(3, 3, 0.95)]).toEqual([true, false, true]);
    expect(() => new FoldPruner(options, "train_val_split")).toThrow(/k_fold/);
    expect(() => new FoldPruner({ ...options, metricName: "stage1", metricKey: "best_loss" }, "k_fold")).toThrow(
      /cannot follow/,
    );
  });

  it.skipIf(!process.env.CELLSAM_PYTHON)("uses the t points and the variance shares that scipy finds", () => {
    const scored = [3, 5, 4, 8, 9, 7, 2, 6].map((metric, i) => ({
      metric,
      hyperparameters: { a: ["x", "y", "z"][i % 3] as string, b: i % 2 === 0 },
    }));
    const script = `
import json, numpy as np
from scipy import stats
y = np.array([3,5,4,8,9,7,2,6.]); a = np.arange(8) % 3; b = np.arange(8) % 2
def shares(g):
    k = len(set(g)); f = stats.f_oneway(*[y[g == i] for i in range(k)]).statistic; w = len(y) - k
    eta = f * (k-1) / (f * (k-1) + w)
    return [eta, max(0, eta - (1 - eta) * (k-1) / w)]
print(json.dumps({"t": [stats.t.ppf(.95, n) for n in range(1, 31)], "a": shares(a), "b": shares(b)}))`;
    const scipy = JSON.parse(execFileSync(process.env.CELLSAM_PYTHON as string, ["-c", script], { encoding: "utf8" }));
    for (const [i, t] of scipy.t.entries()) expect(Math.abs(studentT95(i + 1) - t)).toBeLessThan(0.001);
    const found = importanceOf(scored, ["a", "b"], 1) ?? [];
    for (const name of ["a", "b"]) {
      const own = found.find(({ parameter }) => parameter === name);
      expect(own?.share).toBeCloseTo(scipy[name][0], 10);
      expect(own?.adjusted_share).toBeCloseTo(scipy[name][1], 10);
    }
  });

  it("importance finds the setting that decides, and is silent where nothing can be said", () => {
    const scored = Array.from({ length: 16 }, (_, i) => ({
      metric: (i % 2) + 0.01 * ((i * 7) % 5),
      hyperparameters: { decides: i % 2, idle: (i >> 1) % 2, drawn: ((i * 5) % 16) / 16 },
    }));
    const [first, ...rest] = importanceOf(scored, ["idle", "drawn", "decides", "absent"], 1) ?? [];
    expect(first).toMatchObject({
      parameter: "decides",
      values: [
        { value: 0, trials: 8 },
        { value: 1, trials: 8 },
      ],
    });
    expect(first?.share).toBeGreaterThan(0.98);
    expect(first?.p_value).toBeLessThan(0.01);
    expect(rest.map(({ parameter }) => parameter).sort()).toEqual(["drawn", "idle"]);
    for (const { p_value } of rest) expect(p_value).toBeGreaterThan(0.05);
    expect(importanceOf(scored.slice(0, 3), ["decides"], 1)).toBeNull();
    expect(
      importanceOf(
        scored.map((s) => ({ ...s, metric: 1 })),
        ["decides"],
        1,
      ),
    ).toBeNull();
  });
});
