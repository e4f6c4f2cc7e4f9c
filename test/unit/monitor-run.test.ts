// What a run records and keeps: epoch checkpoints by their settings, logs, events, curves, and warnings of its evaluations.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ExperimentConfig, type ExperimentInput } from "../../lib/config/experiment.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import type { TrainingEvent } from "../../lib/events.js";
import type { Strategy } from "../../lib/strategies/strategy.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import type { RunnerOptions } from "../../lib/train/options.js";
import { FakeEngine, Killed } from "./runner-fake.js";

const counted = { truth: 0, predicted: 0, f1: [] as number[] };
vi.mock("../../lib/evaluation/pairs.js", () => ({
  evaluatePair: () => ({}),
  summarize: (pairs: unknown[]) => ({ images: pairs.length, counts: { ...counted }, f1: counted.f1.shift() ?? null }),
}));

let folder: string;
let data: { imgPath: string; maskPath: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-monitored-"));
  data = await generateSynthetic({ directory: join(folder, "data"), images: 5, size: 64, seed: 1 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const halves: Strategy = {
  name: "halves",
  prepareSplits: async (images: readonly string[]) => [{ train: images.slice(0, 3), val: images.slice(3) }],
} as unknown as Strategy;

let outputs = 0;
const newOutput = () => join(folder, `out-${outputs++}`);
function runner(engine: FakeEngine, outputDir: string, more: Partial<ExperimentInput> = {}, options: RunnerOptions = {}) {
  const stage = { totalEpochs: 5, patience: 10 };
  const { imgPath, maskPath } = data;
  const config: ExperimentInput = {
    ...{ imgPath, maskPath, outputName: "run", outputDir, device: "cpu", saveVisualizations: false },
    ...{ stage1Config: stage, stage2Config: stage, ...more },
  };
  const { openSession, openStoreWriter } = engine;
  return new ExperimentRunner(config, { openSession, openStoreWriter, strategy: halves, ...options });
}
const models = async (out: string) => (await readdir(join(out, "run/models/fold_1"))).sort();
const logOf = (out: string) => readFile(join(out, "run/logs/experiment.log"), "utf8");
const best = ["best_model_s1.pth", "best_model_s2.pth", "manifest.json"];

describe("epoch checkpoints of a run", () => {
  it("D85: saveFreq and keepLastN do what they say, in each stage", async () => {
    const out = newOutput();
    await runner(new FakeEngine(), out, { saveFreq: 2, keepLastN: 1, saveFinalModel: true }).run();
    const last = ["final_model_s1.pth", "final_model_s2.pth"];
    expect(await models(out)).toEqual([...best, ...last, "s1_epoch_4.pth", "s2_epoch_4.pth"].sort());
    const manifest = JSON.parse(await readFile(join(out, "run/models/fold_1/manifest.json"), "utf8"));
    expect(manifest.files["s2_epoch_4.pth"]).toMatchObject({ kind: "epoch", stage: 2, epoch: 4, metric: expect.any(Number) });
    expect(manifest.files["final_model_s1.pth"]).toMatchObject({ kind: "final", stage: 1, epoch: 5 });
  });

  it.each<[string, Partial<ExperimentInput>, string[]]>([
    ["by default none of a short run", {}, []],
    ["none with keepBestOnly", { saveFreq: 1, keepBestOnly: true }, []],
    ["none without saveCheckpoints", { saveFreq: 1, saveCheckpoints: false }, []],
    ["all with keepLastN 0", { saveFreq: 2, keepLastN: 0, stages: [1] }, ["s1_epoch_2.pth", "s1_epoch_4.pth"]],
  ])("D85: %s", async (_, more, kept) => {
    const out = newOutput();
    await runner(new FakeEngine(), out, more).run();
    expect((await models(out)).filter((file) => /epoch|final/.test(file))).toEqual(kept);
  });

  it("killed at any command end with the same files", async () => {
    const settings = { saveFreq: 1, keepLastN: 2, saveFinalModel: true, stages: [1] as [1] };
    const whole = newOutput();
    const engine = new FakeEngine();
    await runner(engine, whole, settings).run();
    const contents = async (out: string) =>
      Object.fromEntries(
        await Promise.all(
          (await models(out)).map(async (file) => [file, await readFile(join(out, "run/models/fold_1", file), "utf8")]),
        ),
      );
    const expected = await contents(whole);
    expect(Object.keys(expected)).toContain("s1_epoch_4.pth");
    for (let dieAt = 8; dieAt < engine.calls.length; dieAt += 3) {
      const out = newOutput();
      const killed = new FakeEngine();
      killed.dieAt = dieAt;
      await expect(runner(killed, out, settings).run()).rejects.toThrow();
      await runner(new FakeEngine(), out, settings, { resume: true }).run();
      expect(await contents(out), `killed at ${dieAt}`).toEqual(expected);
    }
  });

  it("D29, D52: metrics are written after every epoch, with their summaries", async () => {
    const out = newOutput();
    const killed = new FakeEngine();
    const read = async () => JSON.parse(await readFile(join(out, "run/metrics/stage1_metrics.json"), "utf8"));
    killed.onValidate = (_stage, epoch) => {
      if (epoch === 4) killed.dieAt = 0;
    };
    await expect(runner(killed, out, { stages: [1] }).run()).rejects.toThrow(Killed);
    const { history, summary, best_epochs } = await read();
    expect(history.val.total_loss.length).toBe(summary.val.total_loss.count);
    expect(history.val.total_loss.length).toBeGreaterThanOrEqual(3);
    const lowest = history.val.total_loss.indexOf(Math.min(...history.val.total_loss)) + 1;
    expect(best_epochs.val.total_loss).toBe(lowest);
    expect(summary.train.total_loss.latest).toBe(history.train.total_loss.at(-1));
  });

  it("have messages for settings out of range", () => {
    const config = (more: object) => () => new ExperimentConfig({ imgPath: "i", maskPath: "m", outputName: "o", ...more });
    expect(config({ saveFreq: 0 })).toThrow(/saveFreq.*integer >= 1/);
    expect(config({ keepLastN: -1 })).toThrow(/keepLastN/);
    expect(config({ logFreq: 0.5 })).toThrow(/logFreq/);
  });
});

describe("logs of a run", () => {
  it("D54, D45, D58: every step once in debug, none otherwise, under the right stage, epochs from 1", async () => {
    for (const debug of [true, false]) {
      const out = newOutput();
      const events: TrainingEvent[] = [];
      const run = runner(new FakeEngine(), out, { debug });
      for await (const event of run.events()) events.push(event);
      await run.run();
      const lines = (await logOf(out)).split("\n").map((line) => line.split(" - ").slice(1).join(" - "));
      const steps = lines.filter((line) => /^cellsam\.stage[12] - DEBUG - epoch \d+ step \d+\//.test(line));
      expect(steps).toHaveLength(debug ? 2 * 5 * 6 : 0);
      expect(new Set(steps).size).toBe(steps.length);
      const epochs = lines.filter((line) => / - INFO - epoch \d+\/5: /.test(line)).map((line) => line.split(": ")[0]);
      const named = [1, 2].flatMap((stage) =>
        [1, 2, 3, 4, 5].map((epoch) => `cellsam.stage${stage} - INFO - epoch ${epoch}/5`),
      );
      expect(epochs).toEqual(named);
    }
  });

  it("tell the memory at start and end, and of every epoch in debug", async () => {
    const out = newOutput();
    await runner(new FakeEngine(), out, { debug: true, stages: [1] }).run();
    const log = await logOf(out);
    expect(log).toMatch(/INFO - \[Experiment Start\] System - Used: \d+\.\d MiB \| Available: \d+\.\d MiB/);
    expect(log.match(/INFO - \[Experiment End\] System/g)).toHaveLength(1);
    expect(log.match(/DEBUG - \[epoch\] System/g)).toHaveLength(5);
  });

  it("hold every event as a line of JSON, also over a kill", async () => {
    const out = newOutput();
    const killed = new FakeEngine();
    killed.dieAt = 14;
    await expect(runner(killed, out, { stages: [1] }).run()).rejects.toThrow(Killed);
    await runner(new FakeEngine(), out, { stages: [1] }, { resume: true }).run();
    const text = await readFile(join(out, "run/logs/events.jsonl"), "utf8");
    const events = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    // Steps that the killed run had not saved are there twice.
    const steps = new Set(events.filter(({ type }) => type === "step").map(({ epoch, step }) => `${epoch}.${step}`));
    expect([...steps].sort()).toEqual([1, 2, 3, 4, 5].flatMap((epoch) => [1, 2, 3, 4, 5, 6].map((step) => `${epoch}.${step}`)));
    expect(new Set(events.filter(({ type }) => type === "epoch").map(({ epoch }) => epoch))).toEqual(new Set([1, 2, 3, 4, 5]));
    const board = await readdir(join(out, "run/logs/tensorboard/fold_1"));
    expect(board).toEqual(expect.arrayContaining(["stage1_steps", "stage1_train", "stage1_val"]));
  });
});

describe("warnings of a run", () => {
  it("alarm when nothing is predicted, and name what training has made worse", async () => {
    Object.assign(counted, { truth: 9, predicted: 0, f1: [0.5, 0.25] });
    const out = newOutput();
    const notices: string[] = [];
    const run = runner(new FakeEngine(), out, { preeval: true, stages: [1] });
    for await (const event of run.events()) if (event.type === "notice") notices.push(event.message);
    await run.run();
    expect(notices.filter((message) => message.includes("not a single cell"))).toHaveLength(2);
    expect(notices.find((message) => message.includes("worse"))).toContain("F1 0.5000 -> 0.2500");
    expect((await logOf(out)).match(/WARNING - .*not a single cell/g)).toHaveLength(2);
    Object.assign(counted, { truth: 0, predicted: 0, f1: [] });
  });
});
