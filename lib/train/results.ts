/** The results of a run and their files. Keys are camelCase in memory and snake_case in files, as Python code expects. */

import { existsSync } from "node:fs";
import type { Failure } from "../errors.js";
import type { Evaluation, ThresholdMetrics } from "../evaluation/model.js";
import { readJson, writeJson } from "../files/json.js";
import { fromSnake, toSnake } from "../spelling.js";
import { type Comparison, comparePaired } from "../stats/compare.js";
import { aggregateMetrics, foldMetrics, type Numbers, numbersOf } from "../stats/folds.js";
import { compareImages, type MeasuredImage, scoresByImage } from "../stats/images.js";
import type { OutputTree } from "./outputTree.js";

export type History = Record<string, (number | null)[]>;

export interface StageResult {
  /**
   * The epoch whose weights are the model, by `modelEpoch`, counted from 1, as is finalEpoch; null without validation, where it is
   * the last one.
   */
  bestEpoch: number | null;
  bestLoss: number | null;
  finalEpoch: number;
  /** Validation loss of the last epoch. */
  finalLoss: number | null;
  stoppedEarly: boolean;
  trainHistory: History;
  /** Empty without validation. */
  valHistory: History;
}

/** Scores on the held-out images; the detection thresholds were tuned on other images. */
export interface TestResult {
  images: number;
  /** At the fold's `tunedThreshold`. */
  summary: Evaluation["summary"];
  bestF1: ThresholdMetrics | null;
  bestDice: ThresholdMetrics | null;
  bestAp50: ThresholdMetrics | null;
}

export interface FoldResult {
  /** Counted from 1. */
  fold: number;
  strategy: string;
  stage1: StageResult | null;
  stage2: StageResult | null;
  totalEpochs: number;
  /** null for a fold that failed. */
  finalModelPath: string | null;
  device: string;
  trainImages: number;
  valImages: number;
  testImages: number;
  /**
   * "training" where nothing validates: scores on training images (resubstitution) are too high, and only a test tells how good
   * the model is.
   */
  evaluatedOn: "validation" | "training";
  /** Scores of the fold's model on those images, at `tunedThreshold`; null for a fold that failed. */
  evaluation: Evaluation["summary"] | null;
  /**
   * The detection threshold that was tuned for F1 on those images, and with which the model predicts; null where the configured
   * one stayed.
   */
  tunedThreshold: number | null;
  /** Scores at the configured threshold, where another was tuned. */
  evaluationAsConfigured: Evaluation["summary"] | null;
  /** Scores at the detection threshold with the highest F1, Dice or AP at IoU 0.5 on those images. */
  bestF1: ThresholdMetrics | null;
  bestDice: ThresholdMetrics | null;
  bestAp50: ThresholdMetrics | null;
  /** Scores on the same images before the training; null without `preeval`. */
  preeval: Evaluation["summary"] | null;
  /** null without held-out images. */
  test: TestResult | null;
  /** Why the fold failed. */
  error: Failure | null;
}

/** The result of a fold that failed. */
export function failedResult(
  facts: Pick<FoldResult, "fold" | "strategy" | "device" | "trainImages" | "valImages" | "testImages" | "error">,
): FoldResult {
  const nothing = {
    evaluation: null,
    tunedThreshold: null,
    evaluationAsConfigured: null,
    bestF1: null,
    bestDice: null,
    bestAp50: null,
    preeval: null,
    test: null,
  };
  const untrained = { stage1: null, stage2: null, totalEpochs: 0, finalModelPath: null };
  return { ...facts, ...untrained, evaluatedOn: facts.valImages > 0 ? "validation" : "training", ...nothing };
}

/**
 * Statistics over the folds that succeeded, and the comparison with the model before its training: by folds, and `byImage` where
 * the images were measured before.
 */
export function aggregateFolds(results: readonly FoldResult[], byImage: Comparison | null = null) {
  const good = results.filter(({ error }) => error === null);
  const on = good[0]?.evaluatedOn ?? "validation";
  const groups: Record<string, (result: FoldResult) => object | null | undefined> = {
    [on]: (result) => result.evaluation,
    bestF1: (result) => result.bestF1,
    bestDice: (result) => result.bestDice,
    bestAp50: (result) => result.bestAp50,
    preeval: (result) => result.preeval,
    test: (result) => result.test?.summary,
    testBestF1: (result) => result.test?.bestF1,
    testBestDice: (result) => result.test?.bestDice,
    testBestAp50: (result) => result.test?.bestAp50,
  };
  const present = Object.entries(groups).filter(([, pick]) => good.some((result) => pick(result)));
  return {
    numFolds: results.length,
    foldIndices: good.map(({ fold }) => fold),
    failedFolds: results.filter(({ error }) => error !== null).map(({ fold }) => fold),
    evaluatedOn: on,
    ...(on === "training" && { note: "measured on the training images (resubstitution): higher than scores on new images" }),
    stdDdof: 1,
    aggregatedMetrics: Object.fromEntries(
      present.map(([group, pick]) => [group, aggregateMetrics(good.map((result) => numbersOf(pick(result))))]),
    ),
    significance: significance(good),
    significanceByImage: on === "validation" && byImage ? { baseline: "preeval" as const, ...byImage } : null,
    individualFoldResults: results.map((result) => ({ fold: result.fold, results: result })),
  };
}

/** Tests the trained models against the initial one on the same validation images; null without two folds that have `preeval`. */
function significance(good: readonly FoldResult[]): (Comparison & { baseline: "preeval" }) | null {
  const both = good.filter(({ preeval, evaluatedOn }) => preeval && evaluatedOn === "validation");
  if (both.length < 2) return null; // one difference tells nothing of chance
  const ratios = both.map(({ valImages, trainImages }) => valImages / trainImages);
  const valOverTrain = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  const before = both.map(({ preeval }) => numbersOf(preeval));
  const after = both.map(({ evaluation }) => numbersOf(evaluation));
  return { baseline: "preeval", ...comparePaired(before, after, { unit: "fold", valOverTrain }) };
}

/** The scores of a fold as a flat table with snake_case names, as in its event. */
export function flatMetrics(result: FoldResult): Numbers {
  return toSnake(foldMetrics(result)) as Numbers;
}

export async function writeResults(tree: OutputTree, results: readonly FoldResult[]): Promise<void> {
  await writeJson(tree.individualResults, toSnake(results));
  const [before, after] = await Promise.all([tree.preevalPerImage, tree.perImage].map(measuredImages));
  const byImage = before && after ? compareImages(before, after) : null;
  await writeJson(tree.aggregatedResults, toSnake(aggregateFolds(results, byImage)));
}

/** The scores by image in a file of them; null where there is none. */
async function measuredImages(path: string): Promise<Map<string, Numbers> | null> {
  return existsSync(path) ? scoresByImage(fromSnake(await readJson(path)) as MeasuredImage[]) : null;
}
