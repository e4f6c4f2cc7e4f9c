/** Compares two models by paired values, of the same folds or the same images, and states where the evidence is not enough. */
import { directionOf } from "./direction.js";
import type { Numbers } from "./folds.js";
import { correctedT, effectSize, holm, pairedT, type TTest, type Wilcoxon, wilcoxon } from "./significance.js";
import { type Description, describe } from "./summary.js";

/** The metrics that are tested. More of them would mostly repeat these, and make Holm's correction stricter. */
export const testedMetrics = ["f1", "ap50", "meanAp", "pq", "meanPromptIou"] as const;

export interface MetricComparison {
  /** Statistics of the differences b - a, with t and bootstrap intervals. */
  difference: Description;
  differences: number[];
  pairedT: TTest;
  /** Between folds only. */
  correctedT: TTest | null;
  wilcoxon: Wilcoxon;
  /** The p value that decides: of the corrected t test between folds, of Wilcoxon's test between images. */
  p: number | null;
  /** `p` after Holm's correction over the metrics. */
  pHolm: number | null;
  cohensDz: number | null;
  hedgesG: number | null;
  /** Whether b is better or worse than a. */
  verdict: "better" | "worse" | "not enough evidence";
}

export interface Comparison {
  /** What the pairs are. */
  unit: "fold" | "image";
  n: number;
  alpha: number;
  /** n_val / n_train of the corrected test; null between images. */
  valOverTrain: number | null;
  metrics: Record<string, MetricComparison>;
  notes: string[];
}

export interface CompareOptions {
  unit: "fold" | "image";
  /** Validation images over training images, on average; between folds. */
  valOverTrain?: number;
  alpha?: number;
  seed?: number;
}

/** `a` and `b` hold the scores of the same folds or images in the same order. Pairs with a missing value are left out. */
export function comparePaired(a: readonly Numbers[], b: readonly Numbers[], options: CompareOptions): Comparison {
  const { unit, valOverTrain, alpha = 0.05, seed = 0 } = options;
  const rows = testedMetrics.flatMap((name) => {
    const differences = a.flatMap((before, i) => {
      const [x, y] = [before[name], b[i]?.[name]];
      return typeof x === "number" && typeof y === "number" ? [y - x] : [];
    });
    if (differences.length === 0) return [];
    const corrected = unit === "fold" && valOverTrain !== undefined ? correctedT(differences, valOverTrain) : null;
    const signed = wilcoxon(differences);
    const p = unit === "fold" ? (corrected?.p ?? null) : signed.p;
    return [{ name, differences, corrected, signed, p }];
  });
  const adjusted = holm(rows.map(({ p }) => p));
  const metrics = rows.map(({ name, differences, corrected, signed, p }, i): [string, MetricComparison] => {
    const difference = describe(differences, seed);
    const pHolm = adjusted[i] ?? null;
    const gain = (difference.mean ?? 0) * (directionOf(name) === "max" ? 1 : -1);
    const enough = pHolm !== null && pHolm < alpha && gain !== 0;
    const verdict = !enough ? "not enough evidence" : gain > 0 ? "better" : "worse";
    const tests = { pairedT: pairedT(differences), correctedT: corrected, wilcoxon: signed, p, pHolm };
    return [name, { difference, differences, ...tests, ...effectSize(differences), verdict }];
  });
  const block = Object.fromEntries(metrics);
  return {
    unit,
    n: a.length,
    alpha,
    valOverTrain: valOverTrain ?? null,
    metrics: block,
    notes: notes(a.length, unit, alpha, block),
  };
}

function notes(n: number, unit: string, alpha: number, metrics: Record<string, MetricComparison>): string[] {
  const sentences: string[] = [];
  if (n < 2) sentences.push(`one ${unit} is not enough for any test`);
  const smallest = 2 ** (1 - n);
  if (n >= 2 && smallest >= alpha)
    sentences.push(`with ${n} ${unit}s Wilcoxon's two-sided p cannot be below ${smallest}, whatever the values`);
  if (unit === "fold")
    sentences.push(
      "folds share training images, so the decision rests on the corrected t test (Nadeau and Bengio), not on the plain one",
    );
  const verdicts = Object.values(metrics).map(({ verdict }) => verdict);
  if (verdicts.every((verdict) => verdict === "not enough evidence"))
    sentences.push(
      `not enough evidence for a difference in any metric at the level ${alpha}; that is no proof that there is none`,
    );
  return sentences;
}
