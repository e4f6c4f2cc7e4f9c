import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { ExperimentConfig, type ExperimentInput } from "../../lib/config/experiment.js";
import type { Evaluation } from "../../lib/evaluation/model.js";
import { readJson, writeJson } from "../../lib/files/json.js";
import { trainedConfig } from "../../lib/predict/trained.js";
import { tunedThreshold } from "../../lib/train/tunedThreshold.js";
import { FakeEngine } from "./runner-fake.js";
import { runner, syntheticRuns } from "./runner-runs.js";

// What the engine would count: 25 cells in each image, F1 0.5 at any threshold and 0.6 at the best one.
vi.mock("../../lib/evaluation/pairs.js", () => ({
  evaluatePair: async () => ({ f1: 0.5, ap50: 0.5 }),
  summarize: ({ length }: unknown[]) => ({ images: length, counts: { truth: 25 * length, predicted: 25 * length }, f1: 0.5 }),
}));
vi.mock("../../lib/engine/inference.js", () => ({
  assemblePrediction: async () => ({ labels: { data: new Int32Array(64 * 64), shape: [64, 64] }, scores: new Float64Array() }),
  sweepThresholds: async () => ({}),
}));
vi.mock("../../lib/evaluation/thresholds.js", () => {
  const row = (threshold: number) => ({ threshold, f1: 0.6, dice: 0.5, ap50: 0.25 });
  return {
    optimizeThresholds: () => ({ best: { f1: row(0.1), dice: row(0.2), ap50: row(0.3) }, searched: 3 }),
    metricsAt: (_: unknown, thresholds: number[]) => thresholds.map(row),
  };
});

const { data, newOutput, settings } = syntheticRuns(6, 64);
const configOf = (more: Partial<ExperimentInput> = {}) => new ExperimentConfig(settings("out", more));
const measured = (f1: number, best: number, truth = 50) =>
  ({ summary: { f1, counts: { truth } }, best: { f1: { threshold: 0.1, f1: best } } }) as unknown as Evaluation;

test.each<[string, number | null, Evaluation, Partial<ExperimentInput>]>([
  ["a gain of 0.02 is taken", 0.1, measured(0.5, 0.52), {}],
  ["a smaller one is not", null, measured(0.5, 0.519), {}],
  ["nor one on 49 cells", null, measured(0.5, 0.9, 49), {}],
  ["nor where the user has chosen a threshold", null, measured(0.5, 0.9), { inference: { bboxThreshold: 0.3 } }],
  ["or another rule", null, measured(0.5, 0.9), { inference: { adaptiveThreshold: false } }],
  ["or none is wanted", null, measured(0.5, 0.9), { tuneThreshold: false }],
])("%s", (_, expected, evaluation, more) => {
  expect(tunedThreshold(configOf(more), evaluation)).toBe(expected);
});

/** Runs an experiment and returns its result and the thresholds with which the trained model predicted. */
async function run(out: string, more: Partial<ExperimentInput>) {
  const engine = new FakeEngine();
  const thresholds: unknown[] = [];
  const openSession = (async (options: Parameters<typeof engine.openSession>[0]) => {
    const session = await engine.openSession(options);
    for (const name of ["predict", "candidates"] as const) {
      const call = session[name].bind(session) as (options: object) => Promise<never>;
      session[name] = (options: { bboxThreshold?: number; adaptiveThreshold?: boolean }) => {
        thresholds.push([name, options.bboxThreshold, options.adaptiveThreshold]);
        return call(options);
      };
    }
    return session;
  }) as typeof engine.openSession;
  const stage = { totalEpochs: 1 };
  const input = { strategy: "train_val_split", testRatio: 0.34, stage1Config: stage, stage2Config: stage, ...more } as const;
  const [result] = await runner(engine, settings(out, input), { openSession }).run();
  return { result, thresholds };
}

test("a run measures, draws and predicts with the threshold that it tuned", async () => {
  const out = newOutput();
  const { result, thresholds } = await run(out, {});
  expect(result).toMatchObject({ tunedThreshold: 0.1, evaluation: { f1: 0.5 }, evaluationAsConfigured: { f1: 0.5 } });
  const searched = Array(2).fill(["candidates", 0.4, true]);
  const evaluated = Array(2).fill(["predict", 0.1, false]);
  const tested = Array(2).fill(["candidates", 0.1, false]);
  const drawn = Array(2).fill(["predict", 0.1, false]);
  expect(thresholds).toEqual([...searched, ...evaluated, ...tested, ...drawn]);
  const folder = join(out, "run");
  expect((await trainedConfig(folder)).inference).toMatchObject({ bboxThreshold: 0.1, adaptiveThreshold: false });

  // Results of a version that tuned none.
  const file = join(folder, "results", "individual_results.json");
  const results = await readJson<Record<string, unknown>[]>(file);
  await writeJson(
    file,
    results.map(({ tuned_threshold: _, ...others }) => others),
  );
  expect((await trainedConfig(folder)).inference).toMatchObject({ bboxThreshold: 0.4, adaptiveThreshold: true });
});

test("a run that tunes none keeps the configured rule", async () => {
  const out = newOutput();
  const { result, thresholds } = await run(out, { tuneThreshold: false, imgPath: data.imgPath });
  expect(result).toMatchObject({ tunedThreshold: null, evaluationAsConfigured: null });
  expect(thresholds.every((call) => String(call).endsWith("0.4,true"))).toBe(true);
  expect((await trainedConfig(join(out, "run"))).inference).toMatchObject({ bboxThreshold: 0.4, adaptiveThreshold: true });
});

test("nothing is tuned on the images that train", async () => {
  const { result } = await run(newOutput(), { strategy: "full_dataset" });
  expect(result).toMatchObject({ evaluatedOn: "training", tunedThreshold: null });
});
