// Reports in a real browser: complete, self-contained, quiet, and no wider than the window.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseHTML } from "linkedom";
import puppeteer, { type Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeRgbPng } from "../../lib/data/write.js";
import { writeExperimentReport } from "../../lib/report/experimentReport.js";
import { writeSearchReport } from "../../lib/report/searchReport.js";
import { chromium } from "../chromium.js";

if (!chromium) console.warn("WARNING: no Chromium found, the reports are not looked at. Install it, or set CHROMIUM.");

const nasty = `<img src=x onerror=alert(1)> & "cells"`;
let folder: string;
const json = (path: string, value: unknown) => writeFile(join(folder, path), JSON.stringify(value));

const scores = (ap50: number) => ({ ap50, mean_ap: ap50 / 2, f1: 0.7, pq: 0.5, mean_prompt_iou: 0.8 });
const described = (mean: number) => ({
  n: 2,
  mean,
  std: 0.01,
  ci95_t: [mean - 0.1, mean + 0.1],
  ci95_bootstrap: [mean - 0.05, mean + 0.05],
  values_per_fold: [mean, mean],
});
const group = (ap50: number) => Object.fromEntries(Object.entries(scores(ap50)).map(([key, value]) => [key, described(value)]));

/** Three folds of which the last failed, with everything that a run may write. */
async function experiment(): Promise<string> {
  for (const path of ["metrics/fold_1", "results/fold_1/visualizations", "logs"])
    await mkdir(join(folder, "experiment", path), { recursive: true });
  const stage = { best_epoch: 2, final_epoch: 3, stopped_early: false };
  const fold = {
    stage1: stage,
    stage2: null,
    train_images: 4,
    val_images: 2,
    evaluated_on: "validation",
    evaluation: scores(0.61),
  };
  const best_f1 = { threshold: 0.37, precision: 0.8, recall: 0.7, f1: 0.75, dice: 0.8, ap50: 0.6 };
  const failed = {
    fold: 3,
    error: { code: "ERR_NON_FINITE_LOSS", message: `loss of ${nasty} is not finite` },
    evaluation: null,
  };
  const results = [
    { fold: 1, ...fold, best_f1, test_images: 3, test: { summary: scores(0.55), best_f1: { f1: 0.4321 } } },
    { fold: 2, ...fold, tuned_threshold: 0.22, evaluation_as_configured: { ...scores(0.31), f1: 0.3456 } },
    failed,
  ];
  const difference = { mean: 0.2, ci95_t: [0.1, 0.3] };
  await json("experiment/experiment_config.json", {
    output_name: nasty,
    strategy: "k_fold",
    batch_size: 3,
    size: "tiny",
    environment: { node: "v20" },
  });
  await json("experiment/splits.json", [
    { train: ["a"], val: [nasty] },
    { train: [nasty], val: ["a"] },
    { train: ["a"], val: ["c"] },
  ]);
  await json("experiment/results/individual_results.json", results);
  await json("experiment/results/aggregated_results.json", {
    evaluated_on: "validation",
    aggregated_metrics: { validation: group(0.61), preeval: group(0.41) },
    significance: { n: 3, metrics: { ap50: { difference, p_holm: 0.04, verdict: "better" } } },
  });
  await json("experiment/results/near_duplicates.json", {
    pairs: [{ a: nasty, b: "c", similarity: 0.97, across_in_folds: [2] }],
  });
  await json("experiment/results/per_image.json", [{ image: nasty, metrics: {} }]);
  const history = {
    train: { total_loss: [3, 2, 1], loss_ce: [1, 0.5, 0.2] },
    val: { total_loss: [3, 2.5, 2], loss_ce: [1, 0.8, 0.7] },
  };
  await json("experiment/metrics/fold_1/stage1_metrics.json", { history, best_epochs: { val: { total_loss: 3 } } });
  await writeFile(
    join(folder, "experiment/logs/experiment.log"),
    `2026-11-24 00:00:00 - cellsam.runner - WARNING - ${nasty} is empty\n`,
  );
  await writeRgbPng(
    join(folder, `experiment/results/fold_1/visualizations/best_1_a.png`),
    new Uint8Array(64 * 96 * 3).fill(90),
    64,
    96,
  );
  return writeExperimentReport(join(folder, "experiment"));
}

async function search(): Promise<string> {
  await mkdir(join(folder, "search"));
  const trial = (trial_id: number, state: string, metric_value: number | null) => ({
    trial_id,
    state,
    metric_value,
    hyperparameters: {
      stage1_lr: 10 ** -trial_id,
      stage1_type: nasty,
      a_setting_with_quite_a_long_name: "and a long value beside it",
    },
    seconds: 12.3,
    ...(state === "failed" && { error: { message: nasty } }),
  });
  const all_trials = [
    trial(1, "completed", 0.5),
    trial(2, "completed", 0.7),
    trial(3, "failed", null),
    trial(4, "pruned", 0.2),
  ];
  const importance = [{ parameter: "stage1_lr", share: 0.8, p_value: 0.01, values: [{ value: 0.1, trials: 1, mean: 0.5 }] }];
  await json("search/optimization_results.json", {
    ...{ all_trials, best_trial: all_trials[1], metric_optimized: "best_f1.f1", mode: "max", best_metric_value: 0.7 },
    ...{ counts: { completed: 2, failed: 1, pruned: 1 }, importance, importance_method: "share of variance", pruner: null },
  });
  return writeSearchReport(join(folder, "search"));
}

/** An experiment that has only begun. */
async function begun(): Promise<string> {
  await mkdir(join(folder, "begun", "results"), { recursive: true });
  await json("begun/experiment_config.json", { output_name: "begun", strategy: "full_dataset" });
  return writeExperimentReport(join(folder, "begun"));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-report-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("one training is tested image by image alone, since one fold shows no spread", async () => {
  const aggregated = {
    evaluated_on: "validation",
    aggregated_metrics: { validation: { f1: { mean: 0.58 } }, preeval: { f1: { mean: 0.47 } } },
    significance: null,
    significance_by_image: {
      n: 10,
      metrics: { f1: { difference: { mean: 0.1, n: 10, ci95_t: [0.04, 0.16] }, p_holm: 0.012, verdict: "better" } },
    },
  };
  await mkdir(join(folder, "one", "results"), { recursive: true });
  await json("one/experiment_config.json", { output_name: "one", strategy: "train_val_split" });
  await json("one/results/aggregated_results.json", aggregated);
  const page = await readFile(await writeExperimentReport(join(folder, "one")), "utf8");
  const text = parseHTML(page).document.querySelector("#baseline")?.textContent ?? "";
  expect(text).toMatch(/0\.470\s*0\.580\s*0\.110/);
  expect(text).toMatch(/0\.0400? to 0\.160\s*0\.012\s*better/);
  expect(text).not.toMatch(/Nadeau|–/);
});

describe.skipIf(!chromium)("in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await puppeteer.launch({ executablePath: chromium as string, args: ["--no-sandbox", "--disable-gpu"] });
  });
  afterAll(() => browser?.close());

  test.each([
    [
      "an experiment with a failed fold",
      experiment,
      [
        "warnings",
        "scores",
        "baseline",
        "folds",
        "losses",
        "pictures",
        "test",
        "thresholds",
        "data",
        "configuration",
        "environment",
      ],
      [
        ...["0.610", "better", "failed", "batch_size", "97", "0.550", "0.432", "0.560 to 0.660"],
        "--set inference.bbox_threshold=0.37 --set inference.adaptive_threshold=false",
        "at the detection threshold that was tuned on them",
        "(as configured)",
        "0.346",
      ],
    ],
    ["a search", search, ["best", "importance", "values", "trials"], ["2 (best)", "pruned", "0.700", "0.80 (p 0.01)"]],
    ["an experiment that has only begun", begun, ["scores", "data", "configuration"], ["not finished"]],
  ])("%s", async (_, make, sections, words) => {
    const path = await make();
    const page = await browser.newPage();
    page.setDefaultTimeout(900_000);
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("dialog", (dialog) => complaints.push(dialog.message()));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
    });
    for (const width of [1280, 400]) {
      await page.setViewport({ width, height: 900 });
      await page.goto(pathToFileURL(path).href);
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      if (process.env.CELLSAM_SCREENSHOTS)
        await page.screenshot({ path: `${process.env.CELLSAM_SCREENSHOTS}/${make.name}_${width}.png`, fullPage: true });
    }
    expect(complaints).toEqual([]);
    expect(await page.$$eval("section", (all) => all.map(({ id }) => id))).toEqual(sections);
    const text = (await page.evaluate("document.body.textContent")) as string;
    for (const word of words) expect(text).toContain(word);
    expect((await readFile(path)).length).toBeLessThan(5e6);
    await page.close();
  });
});
