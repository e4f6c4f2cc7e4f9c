import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import { writeLabels } from "../../lib/data/write.js";
import type { TrainingEvent } from "../../lib/events.js";
import { readChecked, readJson } from "../../lib/files/json.js";
import type { Strategy } from "../../lib/strategies/strategy.js";
import { changedKeys, type RunState, writeRunState } from "../../lib/train/resume.js";
import { FakeEngine, Killed } from "./runner-fake.js";
import { outcome, runner, syntheticRuns, treeOf } from "./runner-runs.js";

// The real evaluation counts in the engine, which these tests do without.
vi.mock("../../lib/evaluation/pairs.js", () => ({
  evaluatePair: (truth: { shape: number[] }) => ({ pixels: truth.shape[0] }),
  summarize: (pairs: unknown[]) => ({ images: pairs.length, counts: { truth: 0, predicted: 0 }, broken: Number.NaN }),
}));

const { folder, data, newOutput, settings } = syntheticRuns(5, 64);

function input(outputDir: string, more: Partial<ExperimentInput> = {}): ExperimentInput {
  const stage = { totalEpochs: 3, patience: 10 };
  const stages = { stage1Config: { ...stage, transferWeights: true }, stage2Config: stage };
  return settings(outputDir, { strategy: "train_val_split", ...stages, ...more });
}

/** An evaluation says in which image it died. */
const isKilled = (error: Error) => error instanceof Killed || error.cause instanceof Killed;

describe("a whole run", () => {
  it("D29, D69, D70, D86: writes the README's tree, in strict JSON, and returns the results", async () => {
    const out = newOutput();
    const engine = new FakeEngine();
    const events: TrainingEvent[] = [];
    const run = runner(engine, input(out));
    for await (const event of run.events()) events.push(event);
    const [result] = await run.run();
    const tree = await treeOf(join(out, "run"));
    expect(tree.filter((file) => !/tensorboard|_training_curve|_loss_components/.test(file))).toEqual([
      "experiment_config.json",
      "logs/events.jsonl",
      "logs/experiment.log",
      "metrics/stage1_metrics.json",
      "metrics/stage2_metrics.json",
      "models/fold_1/best_model_s1.pth",
      "models/fold_1/best_model_s2.pth",
      "models/fold_1/manifest.json",
      "results/aggregated_results.json",
      "results/fold_1/visualizations/best_1_synthetic_001.png",
      "results/fold_1/visualizations/worst_1_synthetic_004.png",
      "results/individual_results.json",
      "results/near_duplicates.json",
      "results/per_image.json",
      "results/report.html",
      "resume/run.json",
      "splits.json",
    ]);
    for (const file of await treeOf(join(out, "run"))) {
      if (file.endsWith(".json")) JSON.parse(await readFile(join(out, "run", file), "utf8"));
    }
    const [individual] = await readJson<Record<string, never>[]>(join(out, "run/results/individual_results.json"));
    expect(individual).toMatchObject({ fold: 1, strategy: "train_val_split", total_epochs: 6, device: "cpu" });
    expect(individual?.stage1).toMatchObject({ best_epoch: result?.stage1?.bestEpoch, final_epoch: 3 });
    const counts = { truth: 0, predicted: 0 };
    expect(individual?.evaluation).toEqual({ broken: null, images: 2, counts, mean_prompt_iou: expect.any(Number) });
    expect(result?.stage1?.valHistory.total_loss).toHaveLength(3);
    const config = await readJson<Record<string, unknown>>(join(out, "run/experiment_config.json"));
    expect(config).toMatchObject({
      img_path: data.imgPath,
      stage1_config: { total_epochs: 3 },
      environment: { device_used: "cpu" },
    });
    expect(events.filter(({ type }) => type === "epoch")).toHaveLength(6);
    expect(engine.openSessions).toBe(0);
    const log = await readFile(join(out, "run/logs/experiment.log"), "utf8");
    expect(log).toMatch(/ - cellsam\.stage2 - INFO - epoch 3\/3: train total_loss /);
  });

  it("D9: restores the best weights before the transfer, and trains stage 2 from there", async () => {
    const engine = new FakeEngine();
    await runner(engine, input(newOutput())).run();
    const at = (name: string) => engine.calls.indexOf(name);
    expect(at("end")).toBeLessThan(at("load best_model_s1.pth"));
    expect(at("load best_model_s1.pth")).toBeLessThan(at("transfer_weights"));
    expect(at("transfer_weights")).toBeLessThan(at("begin 2"));
    expect(engine.calls.lastIndexOf("load best_model_s2.pth")).toBeLessThan(at("predict"));
    expect(engine.stages[0]).toMatchObject({ stage: 1, epochs: 3, stepsPerEpoch: 6 });
    const other = new FakeEngine();
    await runner(
      other,
      input(newOutput(), { stage1Config: { stage1Type: "image_encoder", transferWeights: true, totalEpochs: 1 }, stages: [1] }),
    ).run();
    expect([engine.transfers, other.transfers]).toEqual([["image_encoder"], ["cellfinder"]]);
  });

  it("saves the copied backbone when no stage 2 follows, so that the file holds the evaluated model", async () => {
    const config = (out: string) => input(out, { stages: [1], stage1Config: { transferWeights: true, totalEpochs: 2 } });
    const out = newOutput();
    const engine = new FakeEngine();
    const [result] = await runner(engine, config(out)).run();
    const models = join(out, "run/models/fold_1");
    const text = await readFile(join(models, "best_model_s1.pth"), "utf8");
    // The fake's model is one number, and its prompt IoU that number.
    expect(JSON.parse(text).weight).toBe(result?.evaluation?.meanPromptIou);
    const manifest = await readJson<{ files: Record<string, object> }>(join(models, "manifest.json"));
    expect(manifest.files["best_model_s1.pth"]).toMatchObject({
      sha256: createHash("sha256").update(text).digest("hex"),
      epoch: result?.stage1?.bestEpoch,
    });
    const whole = await outcome(out);
    for (let dieAt = engine.calls.indexOf("end"); dieAt < engine.calls.length; dieAt++) {
      const other = newOutput();
      const killed = new FakeEngine();
      killed.dieAt = dieAt;
      await expect(runner(killed, config(other)).run()).rejects.toSatisfy(isKilled);
      await runner(new FakeEngine(), config(other), { resume: true }).run();
      expect(await outcome(other)).toEqual(whole);
    }
  });

  it("tells warnings in the log and as events", async () => {
    const out = newOutput();
    const weights = join(folder, "start.pth");
    await writeFile(weights, JSON.stringify({ weight: 3 }));
    const engine = new FakeEngine();
    engine.loadReport = { warnings: ["head.bias was not in the checkpoint"] };
    const notices = async (config: ExperimentInput) => {
      const messages: string[] = [];
      for await (const event of runner(engine, config).events()) if (event.type === "notice") messages.push(event.message);
      return messages;
    };
    const one = { stages: [1] as [1], stage1Config: { totalEpochs: 1, stage1Type: "image_encoder" as const } };
    const told = await notices(input(out, { ...one, weights }));
    expect(told).toEqual([
      `weights ${weights}: head.bias was not in the checkpoint`,
      expect.stringContaining("transfer_weights"),
    ]);
    const log = await readFile(join(out, "run/logs/experiment.log"), "utf8");
    for (const message of told) expect(log).toContain(`WARNING - ${message}`);
    const random = await notices(input(newOutput(), { ...one, size: "vit_b" }));
    expect(random[0]).toContain("random weights");
    expect(await notices(input(newOutput(), { stages: [1], size: "tiny", stage1Config: { totalEpochs: 1 } }))).toEqual([]);
  });

  it("builds the tiles once for runs with the same data and settings", async () => {
    const out = newOutput();
    await runner(new FakeEngine(), input(out, { stages: [1], stage1Config: { totalEpochs: 1 } })).run();
    const second = new FakeEngine();
    await runner(second, input(out, { outputName: "second", stages: [1], stage1Config: { totalEpochs: 1 } })).run();
    expect(second.calls).not.toContain("add");
    const third = new FakeEngine();
    await runner(
      third,
      input(out, { outputName: "third", tileSize: 256, stages: [1], stage1Config: { totalEpochs: 1 } }),
    ).run();
    expect(third.calls).toContain("add");
  });

  it("evaluates the untouched model first when asked", async () => {
    const engine = new FakeEngine();
    const out = newOutput();
    await runner(engine, input(out, { preeval: true })).run();
    expect(engine.calls.indexOf("predict")).toBeLessThan(engine.calls.indexOf("begin 1"));
    expect(await readJson(join(out, "run/results/preeval_results.json"))).toMatchObject({ images: 2 });
  });

  it("D19: takes a strategy of the user's own, one training from the same start per split", async () => {
    const strategy: Strategy = {
      name: "mine",
      prepareSplits: ([a, b, c]) => [
        { seed: 0, train: [a as string], val: [b as string] },
        { seed: 0, train: [c as string], val: [a as string] },
      ],
    };
    const engine = new FakeEngine();
    const out = newOutput();
    const results = await runner(engine, input(out), { strategy }).run();
    expect(results.map(({ fold, strategy: name }) => [fold, name])).toEqual([
      [1, "mine"],
      [2, "mine"],
    ]);
    expect(engine.calls.filter((call) => call === "open")).toHaveLength(2);
    expect(await treeOf(join(out, "run"))).toContain("metrics/fold_2/stage1_metrics.json");
    expect((await readJson<unknown[]>(join(out, "run/results/per_image.json"))).length).toBe(2);
  });
});

describe("best model and early stopping", () => {
  const oneStage = (patience: number, more: object = {}): Partial<ExperimentInput> => ({
    stages: [1],
    stage1Config: { totalEpochs: 8, patience, ...more },
  });

  it("D58: takes strictly lower losses only, and stops when patience runs out", async () => {
    const engine = new FakeEngine();
    const losses = [5, 4, 4, 4.5, 3.9999999, 4];
    engine.valLoss = (_, epoch) => losses[epoch - 1] as number;
    const [result] = await runner(engine, input(newOutput(), oneStage(2))).run();
    // Epoch 5 would be a new best, but two epochs without improvement end the stage after epoch 4.
    expect(result?.stage1).toMatchObject({ bestEpoch: 2, bestLoss: 4, finalEpoch: 4, finalLoss: 4.5, stoppedEarly: true });
    expect(engine.calls.filter((call) => call === "save")).toHaveLength(2);
  });

  it("takes the last epoch where it is told to, also when it stops early or is worse", async () => {
    const engine = new FakeEngine();
    const losses = [5, 4, 4.5, 4.2];
    engine.valLoss = (_, epoch) => losses[epoch - 1] as number;
    const improved: boolean[] = [];
    const run = runner(engine, input(newOutput(), oneStage(2, { modelEpoch: "last" })));
    for await (const event of run.events()) if (event.type === "epoch") improved.push(event.improved);
    const [result] = await run.run();
    expect(result?.stage1).toMatchObject({ bestEpoch: 4, bestLoss: 4.2, finalEpoch: 4, stoppedEarly: true });
    expect(improved).toEqual([true, true, false, false]);
    // Each epoch is the model until the next one, which a stop would leave behind.
    expect(engine.calls.filter((call) => call === "save")).toHaveLength(4);
  });

  it("keeps a best that is better by less than minDelta, without calling it an improvement", async () => {
    const engine = new FakeEngine();
    engine.valLoss = (_, epoch) => 5 - epoch * 0.01;
    const [result] = await runner(engine, input(newOutput(), oneStage(2, { minDelta: 1 }))).run();
    expect(result?.stage1).toMatchObject({ bestEpoch: 3, finalEpoch: 3, stoppedEarly: true });
  });

  it("D75: tells a plateau schedule each loss but that of the last, stopping epoch", async () => {
    const engine = new FakeEngine();
    engine.valLoss = (_, epoch) => epoch;
    await runner(engine, input(newOutput(), oneStage(2, { scheduler: "plateau" }))).run();
    expect(engine.observed).toEqual([1, 2]);
    const other = new FakeEngine();
    await runner(other, input(newOutput(), oneStage(2, { scheduler: "cosine" }))).run();
    expect(other.observed).toEqual([]);
  });

  it("never takes NaN, and fails when there is nothing else", async () => {
    const engine = new FakeEngine();
    engine.valLoss = (_, epoch) => (epoch === 2 ? 7 : Number.NaN);
    const out = newOutput();
    const [result] = await runner(engine, input(out, oneStage(20))).run();
    expect(result?.stage1).toMatchObject({ bestEpoch: 2, finalEpoch: 8, finalLoss: null });
    expect((await readJson<{ history: never }>(join(out, "run/metrics/stage1_metrics.json"))).history).toHaveProperty("val");
    engine.valLoss = () => Number.NaN;
    await expect(runner(engine, input(newOutput(), oneStage(20))).run()).rejects.toMatchObject({ code: "ERR_NO_BEST_MODEL" });
  });
});

describe("an existing experiment", () => {
  it("is not overwritten, unless asked", async () => {
    const out = newOutput();
    await runner(new FakeEngine(), input(out)).run();
    const before = await outcome(out);
    const engine = new FakeEngine();
    await expect(runner(engine, input(out)).run()).rejects.toMatchObject({ code: "ERR_OUTPUT_EXISTS" });
    expect(engine.calls).toEqual([]);
    expect(await outcome(out)).toEqual(before);
    await runner(engine, input(out, { stages: [1] }), { overwrite: true }).run();
    expect(existsSync(join(out, "run/models/fold_1/best_model_s2.pth"))).toBe(false);
  });

  it("is only replaced when it is one", async () => {
    const out = newOutput();
    await cp(data.imgPath, join(out, "run"), { recursive: true });
    await expect(runner(new FakeEngine(), input(out), { overwrite: true }).run()).rejects.toMatchObject({
      code: "ERR_OUTPUT_EXISTS",
    });
    expect((await readdir(join(out, "run"))).length).toBe(5);
  });

  it("outlives an overwrite that cannot start", async () => {
    const out = newOutput();
    await runner(new FakeEngine(), input(out)).run();
    const before = await outcome(out);
    const best = join(out, "run/models/fold_1/best_model_s2.pth");
    const broken = join(folder, "broken.pth");
    await writeFile(broken, "no weights");
    const overwrite = (more: Partial<ExperimentInput>, strategy?: Strategy) =>
      runner(new FakeEngine(), input(out, more), { overwrite: true, ...(strategy && { strategy }) }).run();
    await expect(overwrite({ weights: join(folder, "typo.pth") })).rejects.toMatchObject({ code: "ERR_CONFIG" });
    await expect(overwrite({ weights: broken })).rejects.toThrow(SyntaxError);
    const lopsided: Strategy = { name: "bad", prepareSplits: (all) => [{ seed: 0, train: [...all], val: [] }] };
    await expect(overwrite({}, lopsided)).rejects.toMatchObject({ code: "ERR_SPLIT" });
    await expect(overwrite({ weights: best })).rejects.toMatchObject({ code: "ERR_CONFIG", detail: { setting: "weights" } });
    const linked = join(folder, "linked");
    await symlink(join(out, "run"), linked, "junction"); // of the kinds of Windows the one that everybody may make
    await expect(overwrite({ weights: join(linked, "models/fold_1/best_model_s2.pth") })).rejects.toMatchObject({
      detail: { setting: "weights" },
    });
    expect(await outcome(out)).toEqual(before);
  });

  it("returns its results again when a finished run is resumed", async () => {
    const out = newOutput();
    const results = await runner(new FakeEngine(), input(out)).run();
    const engine = new FakeEngine();
    expect(await runner(engine, input(out), { resume: true }).run()).toEqual(JSON.parse(JSON.stringify(results)));
    expect(engine.calls).toEqual([]);
  });
});

describe("stopped and killed runs", () => {
  let undisturbed: Record<string, string>;
  let commands: number;
  const reason = new Error("enough");

  beforeAll(async () => {
    const out = newOutput();
    const engine = new FakeEngine();
    await runner(engine, input(out)).run();
    undisturbed = await outcome(out);
    commands = engine.calls.length;
  });

  /** Runs with a signal that `arm` may abort, expects the stop, resumes, and compares. */
  async function stopAndResume(
    arm: (engine: FakeEngine, abort: () => void) => void,
    config = input(newOutput()),
  ): Promise<FakeEngine> {
    const engine = new FakeEngine();
    const controller = new AbortController();
    arm(engine, () => controller.abort(reason));
    await expect(runner(engine, config, { signal: controller.signal }).run()).rejects.toBe(reason);
    expect(engine.openSessions).toBe(0);
    const next = new FakeEngine();
    await runner(next, config, { resume: true }).run();
    expect(await outcome(config.outputDir as string)).toEqual(undisturbed);
    return next;
  }

  it.each([
    [1, 1, 1],
    [1, 2, 4],
    [1, 3, 6],
    [2, 1, 3],
    [2, 3, 6],
  ])("stopped in stage %i, epoch %i after step %i, end as if undisturbed", async (stage, epoch, step) => {
    const next = await stopAndResume((engine, abort) => {
      engine.onStep = (...at) => at.join() === [stage, epoch, step].join() && abort();
    });
    expect(next.calls).toContain(`train ${stage}.${epoch} from ${step}`);
  });

  it("stopped during validation repeat the validation and nothing else", async () => {
    const next = await stopAndResume((engine, abort) => {
      engine.onValidate = (stage, epoch) => stage === 1 && epoch === 2 && abort();
    });
    expect(next.calls.filter((call) => call.startsWith("train 1.2"))).toEqual(["train 1.2 from 6"]);
  });

  it("killed at any command end as if undisturbed", async () => {
    for (let dieAt = 0; dieAt < commands; dieAt++) {
      const config = input(newOutput());
      const engine = new FakeEngine();
      engine.dieAt = dieAt;
      await expect(runner(engine, config).run()).rejects.toSatisfy(isKilled);
      await runner(new FakeEngine(), config, { resume: true }).run();
      expect(await outcome(config.outputDir as string), `killed at command ${dieAt}, after ${engine.calls.at(-1)}`).toEqual(
        undisturbed,
      );
    }
  });

  it("killed with rare saves lose the epochs since, and still end the same", async () => {
    for (let dieAt = 10; dieAt < commands - 5; dieAt += 3) {
      const config = input(newOutput(), { saveEvery: 2 });
      const engine = new FakeEngine();
      engine.dieAt = dieAt;
      await expect(runner(engine, config).run()).rejects.toSatisfy(isKilled);
      await runner(new FakeEngine(), config, { resume: true }).run();
      expect(await outcome(config.outputDir as string)).toEqual(undisturbed);
    }
  });

  it("keep counting towards early stopping", async () => {
    const losses = [5, 4, 4.5, 4.6, 4.7, 4.8, 4.9, 5];
    const config = input(newOutput(), { stages: [1], stage1Config: { totalEpochs: 8, patience: 3 } });
    const controller = new AbortController();
    const engine = new FakeEngine();
    engine.valLoss = (_, epoch) => losses[epoch - 1] as number;
    engine.onStep = (...at) => at.join() === "1,4,2" && controller.abort(reason);
    await expect(runner(engine, config, { signal: controller.signal }).run()).rejects.toBe(reason);
    const next = new FakeEngine();
    next.valLoss = engine.valLoss;
    const [result] = await runner(next, config, { resume: true }).run();
    expect(result?.stage1).toMatchObject({ bestEpoch: 2, finalEpoch: 5, stoppedEarly: true });
  });

  it("forget a best model of an epoch that was lost", async () => {
    const config = input(newOutput(), { stages: [1], stage1Config: { totalEpochs: 2 } });
    const engine = new FakeEngine();
    engine.valLoss = (_, epoch) => 6 - epoch;
    engine.onValidate = (_, epoch) => {
      if (epoch === 2) engine.dieAt = engine.calls.length + 1; // saves the new best, dies before the state
    };
    await expect(runner(engine, config).run()).rejects.toSatisfy(isKilled);
    const path = join(config.outputDir as string, "run/models/fold_1/best_model_s1.pth");
    const lost = await readFile(path, "utf8");
    const next = new FakeEngine();
    next.valLoss = () => 100; // as on a device that does not repeat itself: this time the epoch is no improvement
    const [result] = await runner(next, config, { resume: true }).run();
    expect(result?.stage1).toMatchObject({ bestEpoch: 1, bestLoss: 5 });
    expect(await readFile(path, "utf8")).not.toBe(lost);
  });

  it("keep their splits, whatever the strategy would say now", async () => {
    const config = input(newOutput(), { stages: [1] });
    const strategy = (val: number): Strategy => ({
      name: "mine",
      prepareSplits: (all) => [{ seed: 0, train: all.filter((_, i) => i !== val), val: [all[val] as string] }],
    });
    const engine = new FakeEngine();
    engine.dieAt = 12;
    await expect(runner(engine, config, { strategy: strategy(0) }).run()).rejects.toSatisfy(isKilled);
    await runner(new FakeEngine(), config, { strategy: strategy(1), resume: true }).run();
    const images = await readJson<{ image: string }[]>(join(config.outputDir as string, "run/results/per_image.json"));
    expect(images.map(({ image }) => image)).toEqual(["synthetic_000"]);
  });

  it("leave nothing behind in resume/ but the run state", async () => {
    const config = input(newOutput());
    await stopAndResume((engine, abort) => {
      engine.onStep = (...at) => at.join() === "2,2,2" && abort();
    }, config);
    expect(await readdir(join(config.outputDir as string, "run/resume"))).toEqual(["run.json"]);
  });

  it("are not resumed with another configuration, other data, or without their files", async () => {
    const config = input(newOutput());
    const engine = new FakeEngine();
    engine.dieAt = commands - 10;
    await expect(runner(engine, config).run()).rejects.toSatisfy(isKilled);
    const resume = (more: Partial<ExperimentInput>) => runner(new FakeEngine(), { ...config, ...more }, { resume: true }).run();
    const changed = { batchSize: 2, stage2Config: { totalEpochs: 4, patience: 10 } };
    await expect(resume(changed)).rejects.toMatchObject({
      code: "ERR_RESUME",
      detail: { keys: ["stage2Config.totalEpochs", "batchSize"] },
    });
    const extra = join(data.maskPath, "synthetic_000.png");
    const original = await readFile(extra);
    await writeFile(extra, await readFile(join(data.maskPath, "synthetic_001.png")));
    await expect(resume({})).rejects.toThrow(/have changed/);
    await writeFile(extra, original);
    const resumeDir = join(config.outputDir as string, "run/resume");
    for (const file of await readdir(resumeDir)) if (file.startsWith("state_")) await rm(join(resumeDir, file));
    await expect(resume({})).rejects.toThrow(/is missing/);
    await rm(join(resumeDir, "run.json"));
    await expect(resume({})).rejects.toMatchObject({ code: "ERR_NOTHING_TO_RESUME" });
  });

  it("start anew when nothing was saved yet", async () => {
    const config = input(newOutput(), { stages: [1] });
    const controller = new AbortController();
    const early = runner(new FakeEngine(), config, { signal: controller.signal });
    for await (const event of early.events()) {
      if (event.type === "progress" && event.task === "check") break;
    }
    controller.abort(reason);
    await expect(early.run()).rejects.toBe(reason);
    expect(existsSync(early.tree.root)).toBe(false);
    // As after a kill between the first folder and the first file, and halfway through the first file.
    await mkdir(early.tree.resume, { recursive: true });
    await writeFile(join(early.tree.resume, ".half.tmp"), "{");
    await expect(runner(new FakeEngine(), config, { resume: true }).run()).resolves.toHaveLength(1);
  });

  it("are not resumed on another device, or with other weights or splits", async () => {
    const weights = join(folder, "changing.pth");
    await writeFile(weights, JSON.stringify({ weight: 3 }));
    const config = input(newOutput(), { weights });
    const killed = new FakeEngine();
    killed.dieAt = 14;
    const first = runner(killed, config);
    await expect(first.run()).rejects.toSatisfy(isKilled);
    const { tree } = first;
    const refused = async (message: RegExp) => {
      const engine = new FakeEngine();
      await expect(runner(engine, config, { resume: true }).run()).rejects.toMatchObject({
        code: "ERR_RESUME",
        message: expect.stringMatching(message),
      });
      expect(engine.calls).toEqual([]);
    };
    await writeFile(weights, JSON.stringify({ weight: 4 }));
    await refused(/content of the weights file has changed/);
    await writeFile(weights, JSON.stringify({ weight: 3 }));
    const splits = await readFile(tree.splits, "utf8");
    const { train, val, ...rest } = JSON.parse(splits);
    await writeFile(tree.splits, JSON.stringify({ ...rest, train: val, val: train }));
    await refused(/splits.json has changed/);
    await writeFile(tree.splits, "{");
    await refused(/splits.json has changed/);
    await rm(tree.splits);
    const state = await readChecked<RunState>(tree.runState);
    await writeRunState(tree.runState, { ...state, device: "cuda" });
    await refused(/it ran on cuda, now it would on cpu/);
    await writeRunState(tree.runState, state);
    await runner(new FakeEngine(), config, { resume: true }).run();
    expect(await readFile(tree.splits, "utf8")).toBe(splits);
  });

  it("compare settings by name", () => {
    expect(changedKeys({ a: 1, b: { c: [1, 2] }, debug: true }, { a: 1, b: { c: [1, 3] }, debug: false })).toEqual(["b.c"]);
    expect(changedKeys({ a: { x: 1 } }, { a: null })).toEqual(["a"]);
    expect(changedKeys({ priority: "normal", seed: 1 }, { priority: "low", seed: 2 })).toEqual(["seed"]);
  });
});

describe("bad data", () => {
  it("are told before anything is written", async () => {
    const out = newOutput();
    const images = join(folder, "unpaired");
    await cp(data.imgPath, images, { recursive: true });
    await writeFile(join(images, "extra.png"), "not a picture");
    const engine = new FakeEngine();
    await expect(runner(engine, input(out, { imgPath: images })).run()).rejects.toMatchObject({ code: "ERR_DATASET" });
    expect(existsSync(out)).toBe(false);
    expect(engine.calls).toEqual([]);
  });

  it("D84: fail a split whose validation images hold no cell, and one without validation images", async () => {
    const blank = join(folder, "blank");
    await cp(data.maskPath, blank, { recursive: true });
    const [mask = ""] = await readdir(blank);
    await writeLabels(join(blank, mask), { data: new Int32Array(64 * 64), shape: [64, 64] });
    const split = (take: (images: readonly string[]) => [string[], string[]]): Strategy => {
      const prepareSplits = (images: readonly string[]) => {
        const [train, val] = take(images);
        return [{ seed: 0, train, val }];
      };
      return { name: "bad", prepareSplits };
    };
    const noCell = split(([first = "", ...rest]) => [rest, [first]]);
    const none = split((images) => [[...images], []]);
    const fails = async (strategy: Strategy, message: string) => {
      const failed = runner(new FakeEngine(), input(newOutput(), { maskPath: blank }), { strategy }).run();
      await expect(failed).rejects.toMatchObject({ code: "ERR_SPLIT", message: expect.stringContaining(message) });
    };
    await fails(noCell, "val has no image with cells");
    await fails(none, "val is empty");
  });
});
