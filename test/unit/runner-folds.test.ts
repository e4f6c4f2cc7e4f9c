import { cpSync, existsSync } from "node:fs";
import { readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, relative } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import type { TrainingEvent } from "../../lib/events.js";
import { readJson } from "../../lib/files/json.js";
import { markOf } from "../../lib/pool/processMark.js";
import { KFoldStrategy } from "../../lib/python/strategies.js";
import { lockExperiment } from "../../lib/train/lock.js";
import { FakeEngine } from "./runner-fake.js";
import { outcome, runner, syntheticRuns } from "./runner-runs.js";

// The real evaluation counts in the engine, which these tests do without: the prompt IoU is the fake model's one number.
vi.mock("../../lib/evaluation/pairs.js", () => ({
  evaluatePair: async (truth: { shape: number[] }) => ({ f1: truth.shape[0] }),
  summarize: (pairs: unknown[]) => ({ images: pairs.length, counts: { truth: 0, predicted: 0 }, f1: 0.5 }),
}));
vi.mock("../../lib/engine/inference.js", () => ({
  assemblePrediction: async () => ({ labels: { data: new Int32Array(64 * 64), shape: [64, 64] }, scores: new Float64Array() }),
  sweepThresholds: async () => ({ images: 1 }),
}));
vi.mock("../../lib/evaluation/thresholds.js", () => ({
  optimizeThresholds: (sweeps: unknown[]) => {
    const row = (threshold: number) => ({ threshold, f1: sweeps.length, dice: 0.5, ap50: 0.25 });
    return { best: { f1: row(0.1), dice: row(0.2), ap50: row(0.3) }, searched: 3 };
  },
  metricsAt: (sweeps: unknown[], thresholds: number[]) => thresholds.map((threshold) => ({ threshold, f1: sweeps.length })),
}));

const { folder, newOutput, settings } = syntheticRuns(6, 64);

function input(outputDir: string, more: Partial<ExperimentInput> = {}): ExperimentInput {
  const stage = { totalEpochs: 2, patience: 10 };
  const stages = { stage1Config: { ...stage, transferWeights: true }, stage2Config: stage };
  return settings(outputDir, { size: "tiny", saveVisualizations: false, tensorboard: false, kFolds: 3, ...stages, ...more });
}

/** The fake engine whose fold `bad` meets a fault in stage 2. */
function failingEngine(bad: number): FakeEngine {
  const engine = new FakeEngine();
  engine.onValidate = (stage, epoch, fold) => {
    if (stage === 2 && epoch === 1 && fold === bad) throw new TypeError("a fault of this fold");
  };
  return engine;
}

describe("k folds", () => {
  it("D19, D86, D18: train anew in folders of their own, and are aggregated", async () => {
    const out = newOutput();
    const engine = new FakeEngine();
    const events: TrainingEvent[] = [];
    const run = runner(engine, input(out, { preeval: true }));
    for await (const event of run.events()) events.push(event);
    const results = await run.run();
    const root = join(out, "run");
    expect(engine.calls.filter((call) => call === "open")).toHaveLength(3);
    expect(engine.openSessions).toBe(0);
    expect(results.map(({ fold, strategy, error }) => [fold, strategy, error])).toEqual(
      [1, 2, 3].map((n) => [n, "3_fold_cv", null]),
    );
    for (const fold of [1, 2, 3]) {
      expect(existsSync(join(root, `models/fold_${fold}/best_model_s2.pth`))).toBe(true);
      expect(existsSync(join(root, `metrics/fold_${fold}/stage1_metrics.json`))).toBe(true);
      // Each fold's tracker holds its own epochs only.
      expect(results[fold - 1]?.stage1?.trainHistory.total_loss).toHaveLength(2);
    }
    expect((await readJson<object[]>(join(root, "splits.json"))).length).toBe(3);
    const images = await readJson<{ image: string; fold: number }[]>(join(root, "results/per_image.json"));
    expect(new Set(images.map(({ image }) => image)).size).toBe(6);
    expect(await readJson(join(root, "results/preeval_results.json"))).toMatchObject([{ fold: 1 }, { fold: 2 }, { fold: 3 }]);
    const aggregated = await readJson<Record<string, never>>(join(root, "results/aggregated_results.json"));
    const ious = results.map(({ evaluation }) => evaluation?.meanPromptIou as number);
    const mean = (ious[0] as number) / 3 + (ious[1] as number) / 3 + (ious[2] as number) / 3;
    expect(aggregated).toMatchObject({
      num_folds: 3,
      fold_indices: [1, 2, 3],
      failed_folds: [],
      std_ddof: 1,
      aggregated_metrics: {
        validation: { mean_prompt_iou: { mean: expect.closeTo(mean, 12), n: 3, values_per_fold: ious } },
        best_f1: { f1: { mean: 2 }, threshold: { mean: expect.closeTo(0.1, 12), std: 0 } },
        best_ap50: { ap50: { mean: 0.25 } },
      },
      significance: {
        baseline: "preeval",
        unit: "fold",
        n: 3,
        val_over_train: 0.5,
        metrics: { f1: { verdict: "not enough evidence" } },
      },
    });
    const folds = events.filter((event) => event.type === "fold");
    expect(folds.map(({ fold, state }) => `${fold} ${state}`)).toEqual([
      "1 begin",
      "1 end",
      "2 begin",
      "2 end",
      "3 begin",
      "3 end",
    ]);
    expect(folds[1]).toMatchObject({ folds: 3, metrics: { f1: 0.5, best_f1: 2, best_dice: 0.5, best_ap50: 0.25 } });
  });

  it("give each fold the same, whatever the others do", async () => {
    const out = newOutput();
    const strategy = new KFoldStrategy({ k: 3 });
    const whole = await runner(new FakeEngine(), input(out), { strategy }).run();
    expect(strategy.getResults()).toEqual(whole);
    const other = await runner(failingEngine(1), input(newOutput())).run();
    const facts = (results: typeof whole) => results.slice(1).map(({ finalModelPath: _path, ...rest }) => rest);
    expect(facts(other)).toEqual(facts(whole));
    // The other way round: the same splits in another order of execution.
    const reversed = [...(await readJson<never[]>(join(out, "run/splits.json")))].reverse();
    const mine = { name: "mine", prepareSplits: () => reversed };
    const backwards = await runner(new FakeEngine(), input(newOutput()), { strategy: mine }).run();
    const values = (results: typeof whole) => results.map(({ stage1, stage2, evaluation }) => ({ stage1, stage2, evaluation }));
    expect(values(backwards).reverse()).toEqual(values(whole));
  });

  it("record a fold that fails and go on; resuming the finished run tries it again", async () => {
    const out = newOutput();
    const run = runner(failingEngine(2), input(out));
    const events: TrainingEvent[] = [];
    for await (const event of run.events()) events.push(event);
    const results = await run.run();
    expect(results.map(({ error }) => error)).toEqual([
      null,
      { code: "ERR_UNEXPECTED", message: "a fault of this fold" },
      null,
    ]);
    expect(events).toContainEqual(expect.objectContaining({ type: "fold", fold: 2, state: "failed" }));
    const root = join(out, "run");
    const stored = await readJson<object[]>(join(root, "results/individual_results.json"));
    expect(stored[1]).toMatchObject({ fold: 2, evaluation: null, final_model_path: null, error: { code: "ERR_UNEXPECTED" } });
    const aggregated = await readJson<never>(join(root, "results/aggregated_results.json"));
    expect(aggregated).toMatchObject({ num_folds: 3, fold_indices: [1, 3], failed_folds: [2] });
    expect(await readFile(join(root, "logs/experiment.log"), "utf8")).toMatch(/1 of 3 folds failed: 2/);
    const again = await runner(new FakeEngine(), input(out), { resume: true }).run();
    expect(again.map(({ fold, error }) => [fold, error])).toEqual([1, 2, 3].map((fold) => [fold, null]));
    const whole = newOutput();
    await runner(new FakeEngine(), input(whole)).run();
    expect(await outcome(out)).toEqual(await outcome(whole));
  });

  it("reject when every fold fails, and keep the reasons", async () => {
    const out = newOutput();
    const engine = new FakeEngine();
    engine.onValidate = () => {
      throw new Error("nothing works");
    };
    const failed = runner(engine, input(out)).run();
    await expect(failed).rejects.toMatchObject({
      code: "ERR_ALL_FOLDS_FAILED",
      message: expect.stringContaining("nothing works"),
    });
    const stored = await readJson<{ error: object }[]>(join(out, "run/results/individual_results.json"));
    expect(stored.map(({ error }) => error)).toHaveLength(3);
  });

  it("stopped by a signal are no failure, and go on", async () => {
    const out = newOutput();
    const controller = new AbortController();
    const engine = new FakeEngine();
    let begun = 0;
    engine.onStep = (stage, epoch, step) => {
      if (stage === 1 && epoch === 1 && step === 1 && ++begun === 2) controller.abort(new Error("stop"));
    };
    await expect(runner(engine, input(out), { signal: controller.signal }).run()).rejects.toThrow("stop");
    const results = await runner(new FakeEngine(), input(out), { resume: true }).run();
    expect(results.every(({ error }) => error === null)).toBe(true);
    const whole = newOutput();
    await runner(new FakeEngine(), input(whole)).run();
    expect(await outcome(out)).toEqual(await outcome(whole));
  });

  it("killed at any command, with one fold failing, end as if undisturbed", async () => {
    const out = newOutput();
    const kills = join(folder, "kills");
    // What a kill leaves is what lies on disk at that moment.
    const snapshotting = failingEngine(2);
    const record = snapshotting.record.bind(snapshotting);
    let commands = 0;
    const config = (outputDir: string) => input(outputDir, { kFolds: 3, preeval: true, stages: [1, 2] });
    snapshotting.record = (name) => {
      record(name);
      if (++commands % 4 === 0) cpSync(out, join(kills, String(commands)), { recursive: true });
    };
    await runner(snapshotting, config(out)).run();
    const whole = await outcome(out);
    const snapshots = await readdir(kills);
    expect(snapshots.length).toBeGreaterThan(20);
    for (const snapshot of snapshots) {
      const place = join(kills, snapshot);
      // The lock of the dead process stays behind.
      await writeFile(join(place, ".run.lock"), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), started: "then" }));
      await runner(failingEngine(2), config(place), { resume: true }).run();
      expect(await outcome(place), `killed after command ${snapshot}`).toEqual(whole);
    }
  });
});

describe("other strategies", () => {
  it("D28, D84, D87: a full data set has no best, and says that it was measured on itself", async () => {
    const out = newOutput();
    const engine = new FakeEngine();
    const config = input(out, {
      strategy: "full_dataset",
      testRatio: 0.2,
      stage1Config: { totalEpochs: 3, patience: 1, scheduler: "plateau" },
    });
    const [result] = await runner(engine, config).run();
    expect(result).toMatchObject({
      strategy: "full_dataset",
      evaluatedOn: "training",
      trainImages: 5,
      valImages: 0,
      testImages: 1,
    });
    expect(result?.stage1).toMatchObject({
      bestEpoch: null,
      bestLoss: null,
      finalEpoch: 3,
      finalLoss: null,
      stoppedEarly: false,
    });
    expect(engine.calls.some((call) => call.startsWith("validate"))).toBe(false);
    // A plateau schedule hears the training loss.
    expect(engine.observed).toEqual(result?.stage1?.trainHistory.total_loss);
    const models = join(out, "run/models/fold_1");
    expect(await readJson(join(models, "manifest.json"))).toMatchObject({
      files: { "best_model_s2.pth": { epoch: 2, metric: null } },
    });
    const aggregated = await readJson<Record<string, never>>(join(out, "run/results/aggregated_results.json"));
    expect(aggregated).toMatchObject({
      evaluated_on: "training",
      note: expect.stringContaining("resubstitution"),
      significance: null,
    });
    expect(Object.keys(aggregated.aggregated_metrics as never)).toEqual(
      ["training", "bestF1", "bestDice", "bestAp50", "test", "testBestF1", "testBestDice", "testBestAp50"].map((name) =>
        name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
      ),
    );
  });

  it("D28: the test is measured at the thresholds of the validation, and never trained on", async () => {
    const out = newOutput();
    const [result] = await runner(new FakeEngine(), input(out, { strategy: "train_val_split", testRatio: 0.3 })).run();
    const split = await readJson<{ train: string[]; val: string[]; test: string[] }>(join(out, "run/splits.json"));
    expect([split.train.length, split.val.length, split.test.length]).toEqual([2, 2, 2]);
    expect(result).toMatchObject({
      evaluatedOn: "validation",
      bestF1: { threshold: 0.1, f1: 2 },
      test: {
        images: 2,
        summary: { images: 2 },
        bestF1: { threshold: 0.1 },
        bestDice: { threshold: 0.2 },
        bestAp50: { threshold: 0.3 },
      },
    });
  });

  it("are tested as folds only where there are two", async () => {
    const out = newOutput();
    await runner(new FakeEngine(), input(out, { strategy: "train_val_split", preeval: true })).run();
    const aggregated = await readJson<Record<string, object>>(join(out, "run/results/aggregated_results.json"));
    expect(aggregated.significance).toBeNull();
    expect(aggregated.significance_by_image).toMatchObject({ baseline: "preeval", unit: "image", n: 2 });
  });

  it("refuse a strategy of the user's own that leaks", async () => {
    const strategy = { name: "mine", prepareSplits: ([a = ""]: readonly string[]) => [{ seed: 0, train: [a], val: [a] }] };
    const run = runner(new FakeEngine(), input(newOutput()), { strategy }).run();
    await expect(run).rejects.toMatchObject({ code: "ERR_SPLIT" });
  });
});

it("a fold whose model cannot be given back keeps its result", async () => {
  const engine = new FakeEngine();
  let opened = 0;
  const openSession = (async (options: Parameters<typeof engine.openSession>[0]) => {
    const session = await engine.openSession(options);
    const dispose = session.dispose.bind(session);
    if (++opened === 2) session.dispose = () => dispose().then(() => Promise.reject(new Error("device lost")));
    return session;
  }) as typeof engine.openSession;
  const out = newOutput();
  const results = await runner(engine, input(out), { openSession }).run();
  expect(results.map(({ fold, error }) => [fold, error])).toEqual([1, 2, 3].map((fold) => [fold, null]));
  expect(await readFile(join(out, "run", "logs", "experiment.log"), "utf8")).toContain(
    "fold 2 is finished, but then: device lost",
  );
});

describe("an experiment's lock", () => {
  it("keeps a second run out, and opens at the end", async () => {
    const out = newOutput();
    const engine = new FakeEngine();
    let second: Promise<unknown> | undefined;
    engine.onStep = () => {
      second ??= runner(new FakeEngine(), input(out), { resume: true })
        .run()
        .catch((error: unknown) => error);
    };
    await runner(engine, input(out)).run();
    expect(await second).toMatchObject({ code: "ERR_LOCKED" });
    expect(existsSync(join(out, ".run.lock"))).toBe(false);
  });

  it("needs a folder, and says so of anything else", async () => {
    const out = newOutput();
    await writeFile(out, "a file");
    await expect(lockExperiment(out, "run")).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringContaining(out),
    });
    await expect(lockExperiment(join(out, "below"), "run")).rejects.toMatchObject({ code: "ERR_CONFIG" });
  });

  it("of a dead process is taken over, of a living one on another host only when it is old", async () => {
    const out = newOutput();
    const lock = join(out, ".run.lock");
    const left = async (owner: object) => {
      const release = await lockExperiment(out, "run");
      await release();
      await import("node:fs/promises").then(({ mkdir }) => mkdir(out, { recursive: true }));
      await writeFile(lock, JSON.stringify({ started: "then", ...owner }));
    };
    await left({ pid: 2 ** 22 + 1, host: hostname() });
    await (await lockExperiment(out, "run"))();
    await left({ pid: process.ppid, host: hostname() });
    await expect(lockExperiment(out, "run")).rejects.toThrow(/remove .*\.run\.lock/);
    await rm(lock);
    await left({ pid: 1, host: "elsewhere" });
    await expect(lockExperiment(out, "run")).rejects.toMatchObject({ code: "ERR_LOCKED" });
    const old = new Date(Date.now() - 10 * 60_000);
    await utimes(lock, old, old);
    await (await lockExperiment(out, "run"))();
    // The same where the system does not tell when a process was started.
    await left({ pid: process.ppid, host: hostname() });
    await utimes(lock, old, old);
    await (await lockExperiment(out, "run"))();
    // A living process that only has the dead one's number, as after a restart of the machine.
    await left({ pid: process.ppid, host: hostname(), processStarted: "1" });
    await (await lockExperiment(out, "run"))();
    // This process by another thread, or by another spelling of the path.
    await left({ host: hostname(), pid: process.pid, processStarted: markOf(process.pid).started });
    await expect(lockExperiment(out, "run")).rejects.toMatchObject({ code: "ERR_LOCKED" });
    await rm(lock);
    const first = await lockExperiment(relative(process.cwd(), out), "run");
    await expect(lockExperiment(out, "run")).rejects.toMatchObject({ code: "ERR_LOCKED" });
    await first();
    const release = await lockExperiment(out, "run");
    await expect(lockExperiment(out, "run")).rejects.toMatchObject({ code: "ERR_LOCKED" });
    await release();
  });
});
