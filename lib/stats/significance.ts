/**
 * Whether paired differences, one per fold or image, are more than chance: tests, correction for multiple testing, effect size.
 */
import type jstat from "jstat";
import { lazily } from "../lazily.js";
import { deviation, mean } from "./summary.js";

const distributions = lazily<typeof jstat>("jstat");

export interface TTest {
  /** null when all differences are equal, where t is not defined. */
  t: number | null;
  df: number;
  /** Two-sided. */
  p: number | null;
}

export interface Wilcoxon {
  /** The smaller of the rank sums of positive and of negative differences. */
  statistic: number | null;
  /** Two-sided. */
  p: number | null;
  /** Number of differences that are not zero; zeros are left out. */
  n: number;
  /** No smaller p is possible with so many differences: 2 / 2^n. */
  smallestP: number;
  method: "exact" | "normal";
}

/** Up to so many differences all sign patterns are counted; for more, the normal approximation is used. */
const exactUpTo = 50;

function twoSided(t: number, df: number): number {
  return Math.min(1, 2 * distributions().studentt.cdf(-Math.abs(t), df));
}

/** Student's t test of paired differences against 0. `variance` replaces 1/n in the standard error. */
export function pairedT(differences: readonly number[], variance = 1 / differences.length): TTest {
  const df = differences.length - 1;
  if (df < 1) return { t: null, df, p: null };
  const error = Math.sqrt(variance) * deviation(differences);
  const centre = mean(differences);
  if (error === 0) return { t: null, df, p: centre === 0 ? 1 : null };
  const t = centre / error;
  return { t, df, p: twoSided(t, df) };
}

/**
 * The corrected resampled t test (Nadeau & Bengio 2003): folds share training images, so their differences are not independent,
 * and the variance is (1/k + nVal/nTrain) s² and not s²/k.
 */
export function correctedT(differences: readonly number[], valOverTrain: number): TTest {
  return pairedT(differences, 1 / differences.length + valOverTrain);
}

/**
 * Wilcoxon's signed-rank test, two-sided. Zeros are left out, ties share their mean rank. Exact over all sign patterns of the
 * given ranks up to 50 differences, else normal with the tie correction and without a continuity correction.
 */
export function wilcoxon(differences: readonly number[]): Wilcoxon {
  const values = differences.filter((value) => value !== 0);
  const n = values.length;
  const method = n <= exactUpTo ? "exact" : "normal";
  const smallestP = Math.min(1, 2 ** (1 - n));
  if (n === 0) return { statistic: null, p: null, n, smallestP, method };
  // Twice the ranks, so that mean ranks of ties are whole numbers.
  const { ranks, ties } = doubledRanks(values.map(Math.abs));
  const total = (n * (n + 1)) / 2;
  const positive = ranks.reduce((sum, rank, i) => sum + ((values[i] as number) > 0 ? rank : 0), 0) / 2;
  const statistic = Math.min(positive, total - positive);
  if (method === "exact") return { statistic, p: exactP(ranks, 2 * statistic), n, smallestP, method };
  const variance = (n * (n + 1) * (2 * n + 1)) / 24 - ties.reduce((sum, size) => sum + size ** 3 - size, 0) / 48;
  const z = (statistic - total / 2) / Math.sqrt(variance);
  return { statistic, p: Math.min(1, 2 * distributions().normal.cdf(-Math.abs(z), 0, 1)), n, smallestP, method };
}

function doubledRanks(sizes: readonly number[]): { ranks: number[]; ties: number[] } {
  const order = sizes.map((_, i) => i).sort((a, b) => (sizes[a] as number) - (sizes[b] as number));
  const ranks = new Array<number>(sizes.length);
  const ties: number[] = [];
  for (let first = 0; first < order.length; ) {
    let end = first + 1;
    while (end < order.length && sizes[order[end] as number] === sizes[order[first] as number]) end++;
    for (let i = first; i < end; i++) ranks[order[i] as number] = first + 1 + end;
    ties.push(end - first);
    first = end;
  }
  return { ranks, ties };
}

/** Twice the share of the 2^n sign patterns whose rank sum is at most `sum`. */
function exactP(ranks: readonly number[], sum: number): number {
  const total = ranks.reduce((a, b) => a + b, 0);
  const share = new Float64Array(total + 1);
  share[0] = 1;
  for (const rank of ranks) {
    for (let at = total; at >= 0; at--) {
      share[at] = ((share[at] as number) + (at >= rank ? (share[at - rank] as number) : 0)) / 2;
    }
  }
  let p = 0;
  for (let at = 0; at <= sum; at++) p += share[at] as number;
  return Math.min(1, 2 * p);
}

/** Holm's step-down correction of p values; null stands for a test that could not be made, and is left out. */
export function holm(ps: readonly (number | null)[]): (number | null)[] {
  const order = ps.flatMap((p, i) => (p === null ? [] : [{ p, i }])).sort((a, b) => a.p - b.p);
  const adjusted: (number | null)[] = ps.map(() => null);
  let largest = 0;
  for (const [rank, { p, i }] of order.entries()) {
    largest = Math.max(largest, Math.min(1, p * (order.length - rank)));
    adjusted[i] = largest;
  }
  return adjusted;
}

/** Cohen's d_z = mean / std of the differences, and Hedges' g: d_z times its exact correction for few values. */
export function effectSize(differences: readonly number[]): { cohensDz: number | null; hedgesG: number | null } {
  const df = differences.length - 1;
  const std = df < 1 ? 0 : deviation(differences);
  if (std === 0) return { cohensDz: null, hedgesG: null };
  const cohensDz = mean(differences) / std;
  const correction = Math.exp(distributions().gammaln(df / 2) - distributions().gammaln((df - 1) / 2)) / Math.sqrt(df / 2);
  // For two values the correction is not defined: Gamma(0).
  return { cohensDz, hedgesG: df < 2 ? null : cohensDz * correction };
}
