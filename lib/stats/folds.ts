/** The scores of a fold as a flat table, and statistics of them over folds. */
import { type Description, describe } from "./summary.js";

/** The parts of a fold's result from which scores are taken; every number in them is a metric. */
export interface FoldMetrics {
  evaluation?: object | null;
  bestF1?: object | null;
  bestDice?: object | null;
  bestAp50?: object | null;
}

export type Numbers = Record<string, number | null>;

export interface Aggregate extends Description {
  valuesPerFold: (number | null)[];
}

/** The numbers directly in `group`, without those of objects inside it. */
export function numbersOf(group: object | null | undefined): Numbers {
  return Object.fromEntries(
    Object.entries(group ?? {}).filter(
      (entry): entry is [string, number | null] => entry[1] === null || typeof entry[1] === "number",
    ),
  );
}

/**
 * f1, ap50, meanAp, ... of the evaluation; bestF1, bestDice, bestAp50: the metric's value at the threshold that is best for it.
 */
export function foldMetrics({ evaluation, bestF1, bestDice, bestAp50 }: FoldMetrics): Numbers {
  const best = (group: object | null | undefined, name: string) => numbersOf(group)[name];
  const tuned = { bestF1: best(bestF1, "f1"), bestDice: best(bestDice, "dice"), bestAp50: best(bestAp50, "ap50") };
  const given = Object.entries(tuned).filter((entry): entry is [string, number | null] => entry[1] !== undefined);
  return { ...numbersOf(evaluation), ...Object.fromEntries(given) };
}

/** Statistics of every metric that some fold has. */
export function aggregateMetrics(folds: readonly Numbers[]): Record<string, Aggregate> {
  const names = [...new Set(folds.flatMap((fold) => Object.keys(fold)))];
  return Object.fromEntries(
    names.map((name) => {
      const valuesPerFold = folds.map((fold) => fold[name] ?? null);
      return [name, { ...describe(valuesPerFold), valuesPerFold }];
    }),
  );
}

/** One line a metric: mean ± sample standard deviation. */
export function summaryLines(metrics: Record<string, Aggregate>): string[] {
  return Object.entries(metrics)
    .filter(([, { mean }]) => mean !== null)
    .map(([name, { mean, std, n }]) => `${name}: ${mean?.toFixed(4)}${std === null ? "" : ` ± ${std.toFixed(4)}`} (n = ${n})`);
}
