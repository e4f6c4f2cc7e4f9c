import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { outcome } from "../../lib/cli/outcome.js";
import { readJson } from "../../lib/files/json.js";
import type { Numbers } from "../../lib/stats/folds.js";
import { compareImages, scoresByImage } from "../../lib/stats/images.js";
import type { FoldResult } from "../../lib/train/results.js";
import { FakeEngine } from "./runner-fake.js";
import { runner, syntheticRuns } from "./runner-runs.js";

const images = (f1: number[]) => new Map(f1.map((value, i): [string, Numbers] => [`image_${i}`, { f1: value }]));
// Differences 0.1, 0.2 and 0.3: mean 0.2, deviation 0.1, t(0.975, 2) = 4.3027, so 0.2 ± 4.3027 * 0.1 / sqrt(3) = 0.2 ± 0.2484.
const three = compareImages(images([0.4, 0.4, 0.4]), images([0.5, 0.6, 0.7]));

describe("images that were measured before and after", () => {
  test("tell how large the change may be, also where there is not enough evidence for one", () => {
    expect(three).toMatchObject({ unit: "image", n: 3, metrics: { f1: { verdict: "not enough evidence" } } });
    const [low = 0, high = 0] = three?.metrics.f1?.difference.ci95T ?? [];
    expect([low, high]).toEqual([expect.closeTo(-0.0484, 4), expect.closeTo(0.4484, 4)]);
  });

  test("are paired by name; an image of one side alone is left out", () => {
    const after = images([0.9, 0.9, 0.9, 0.1]);
    after.delete("image_0");
    expect(compareImages(images([0.4, 0.4, 0.4]), after)?.metrics.f1?.differences).toEqual([0.5, 0.5]);
    expect(compareImages(new Map(), after)).toBeNull();
    const rows = [0.2, 0.4].map((f1) => ({ image: "a", metrics: { f1, ap: { inner: 1 } }, meanPromptIou: null }));
    expect(scoresByImage(rows).get("a")).toEqual({ f1: expect.closeTo(0.3), meanPromptIou: null });
  });
});

describe("the end of a training", () => {
  const summary = (f1: number) => ({ f1, recall: f1, precision: f1, ap50: f1, meanMatchedIou: null, counts: { truth: 40 } });
  const result = (fold: number, more: object = {}) =>
    ({
      ...{ fold, error: null, evaluatedOn: "validation", valImages: 3, trainImages: 7, test: null, preeval: summary(0.4) },
      ...{
        evaluation: summary(0.6),
        tunedThreshold: null,
        evaluationAsConfigured: null,
        finalModelPath: `out/run/models/fold_${fold}/best_model_s2.pth`,
      },
      ...more,
    }) as unknown as FoldResult;

  test("is scores before and after in words, in 80 columns, the places of the results, and the next command", () => {
    const text = outcome([result(1)], three, "out/run");
    expect(text).toContain("Measured on 3 validation images, which did not train, with 40 cells");
    expect(text).toMatch(/both in one number \(F1\) +0\.400 +0\.600\n/);
    expect(text).toMatch(
      /F1 of an image changed by \+0\.200 on average \(3 images;\n +95 % interval -0\.048 to \+0\.448\): not enough evidence/,
    );
    expect(text).toContain(`npx cellsam predict NEW_IMAGES --experiment out/run --out predictions`);
    expect(text).toContain(join("out/run", "results", "report.html"));
    for (const line of text.split("\n")) expect(line.length).toBeLessThan(80);
    expect(outcome([result(1)], three, "out/my run")).toContain('--experiment "out/my run"');
  });

  test("names the detection thresholds that were tuned, and F1 without them", () => {
    const tuned = { tunedThreshold: 0.2217, evaluationAsConfigured: summary(0.44) };
    const one = outcome([result(1, tuned)], null, "out/run");
    expect(one).toContain("Detection threshold tuned on these images: 0.222.\n");
    expect(one).toContain("at the configured one F1 is 0.440.");
    const three = [result(1, tuned), result(2), result(3, { ...tuned, tunedThreshold: 0.3 })];
    const text = outcome(three, null, "out/run");
    expect(text).toContain("tuned on these images: 0.222 to 0.300, in 2 of 3 folds.");
    expect(text).toContain("at the configured one F1 is 0.493."); // (0.44 + 0.6 + 0.44) / 3
    for (const line of text.match(/.*threshold.*|.*configured.*/g) ?? []) expect(line.length).toBeLessThanOrEqual(80);
    expect(outcome([result(1)], null, "out/run")).not.toContain("threshold");
  });

  test("is the mean of the folds that succeeded, and names those that did not", () => {
    const failed = result(3, { evaluation: null, error: { code: "ERR_OUT_OF_MEMORY", message: "full" }, finalModelPath: null });
    const text = outcome([result(1), result(2, { evaluation: summary(0.8) }), failed], three, "out/run");
    expect(text).toContain("fold 3: failed, ERR_OUT_OF_MEMORY: full");
    expect(text).toMatch(/6 validation images.* 80 cells; means of 2 folds/);
    expect(text).toMatch(/\(F1\) +0\.400 +0\.700\n/);
    expect(text).toContain("fold_2/best_model_s2.pth");
  });

  test("does not judge what was measured on training images, or not before", () => {
    const trained = outcome([result(1, { evaluatedOn: "training", preeval: null })], null, "out/run");
    expect(trained).toMatch(/the 7 images that trained/);
    expect(trained).toMatch(/nothing about others/);
    expect(trained).not.toMatch(/before/);
    expect(outcome([result(1, { preeval: null })], null, "out/run")).toContain("--set preeval=true");
  });
});

const { newOutput, settings } = syntheticRuns(6, 64);

test.each([1, 3])("a run in %i folds keeps the images' scores before training, and reports the interval", async (folds) => {
  const out = newOutput();
  const strategy = folds === 1 ? ("train_val_split" as const) : ("k_fold" as const);
  const stage1Config = { totalEpochs: 1 };
  await runner(
    new FakeEngine(),
    settings(out, { preeval: true, strategy, kFolds: 3, stages: [1], stage1Config, tileSize: 64, saveVisualizations: false }),
  ).run();
  const results = join(out, "run", "results");
  const before = await readJson<{ image: string }[]>(join(results, "preeval_per_image.json"));
  const after = await readJson<{ image: string }[]>(join(results, "per_image.json"));
  expect(before.map(({ image }) => image)).toEqual(after.map(({ image }) => image));
  expect(before).toHaveLength(folds === 1 ? 2 : 6);
  const { significance_by_image: tested } = await readJson<Record<string, { metrics: { mean_prompt_iou: object } }>>(
    join(results, "aggregated_results.json"),
  );
  expect(tested).toMatchObject({ baseline: "preeval", unit: "image", n: before.length });
  expect(tested?.metrics.mean_prompt_iou).toHaveProperty("difference.ci95_t");
  const report = await readFile(join(results, "report.html"), "utf8");
  expect(report).toContain("Image by image");
  expect(report).toContain("95 % interval of that mean");
});
