/** What a run answers, and the result files. Keys are camelCase in memory and snake_case on disk, as Python's readers expect. */
import { toSnake } from "../config/python.js";
import { writeJson } from "../monitor/json.js";
import { mean, sampleDeviation } from "../monitor/metricsTracker.js";
import type { Evaluation } from "./finalEvaluation.js";
import type { OutputTree } from "./outputTree.js";

export type History = Record<string, (number | null)[]>;

export interface StageResult {
  /** Counted from 1, as is finalEpoch. */
  bestEpoch: number;
  bestLoss: number;
  finalEpoch: number;
  /** Validation loss of the last epoch. */
  finalLoss: number | null;
  stoppedEarly: boolean;
  trainHistory: History;
  valHistory: History;
}

export interface FoldResult {
  /** Counted from 1. */
  fold: number;
  strategy: string;
  stage1: StageResult | null;
  stage2: StageResult | null;
  totalEpochs: number;
  finalModelPath: string;
  device: string;
  trainImages: number;
  valImages: number;
  /** Of the best weights on the fold's validation images. */
  evaluation: Evaluation["summary"];
}

interface Aggregate {
  mean: number | null;
  /** Sample standard deviation (ddof 1); null for a single fold. */
  std: number | null;
  min: number | null;
  max: number | null;
  median: number | null;
  valuesPerFold: (number | null)[];
}

function aggregate(values: (number | null)[]): Aggregate {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const middle = sorted.slice(Math.floor((sorted.length - 1) / 2), Math.floor(sorted.length / 2) + 1);
  return {
    mean: mean(sorted),
    std: sampleDeviation(sorted),
    min: sorted[0] ?? null,
    max: sorted.at(-1) ?? null,
    median: mean(middle),
    valuesPerFold: values,
  };
}

/** Statistics over folds of every number in the folds' evaluation summaries. */
export function aggregateFolds(results: readonly FoldResult[]) {
  const numbers = results.map(({ evaluation }) => evaluation as unknown as Record<string, unknown>);
  const names = Object.keys(numbers[0] ?? {}).filter((name) =>
    numbers.every((n) => n[name] === null || typeof n[name] === "number"),
  );
  return {
    numFolds: results.length,
    foldIndices: results.map(({ fold }) => fold),
    stdDdof: 1,
    aggregatedMetrics: {
      validation: Object.fromEntries(names.map((name) => [name, aggregate(numbers.map((n) => n[name] as number | null))])),
    },
    individualFoldResults: results.map((result) => ({ fold: result.fold, results: result })),
  };
}

export async function writeResults(tree: OutputTree, results: readonly FoldResult[]): Promise<void> {
  await writeJson(tree.individualResults, toSnake(results));
  await writeJson(tree.aggregatedResults, toSnake(aggregateFolds(results)));
}
