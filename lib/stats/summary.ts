/** Describes a few values, one per fold: mean, sample standard deviation and 95 % intervals of the mean. */
import type jstat from "jstat";
import { Random } from "../data/random.js";
import { lazily } from "../lazily.js";

const distributions = lazily<typeof jstat>("jstat");

export type Interval = [number, number];

export interface Description {
  n: number;
  mean: number | null;
  /** Sample standard deviation (ddof 1); null for fewer than two values. */
  std: number | null;
  min: number | null;
  max: number | null;
  median: number | null;
  /** mean ± t(0.975, n - 1) std / sqrt(n); null for fewer than two values. */
  ci95T: Interval | null;
  /** Bias-corrected and accelerated bootstrap interval (Efron 1987) of the mean; null for fewer than two values. */
  ci95Bootstrap: Interval | null;
}

/** Resamples of a bootstrap. */
export const resamples = 10_000;

/** Of at least one value. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** null of no values. */
export function meanOrNull(values: readonly number[]): number | null {
  return values.length === 0 ? null : mean(values);
}

/**
 * Sample standard deviation, ddof 1, of at least two values. Exactly 0 for values that differ by rounding only, from which no
 * test may conclude anything.
 */
export function deviation(values: readonly number[]): number {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (high - low <= 1e-12 * Math.max(Math.abs(low), Math.abs(high))) return 0;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** Statistics of `all` without its missing values (null). `seed` is that of the bootstrap. */
export function describe(all: readonly (number | null)[], seed = 0): Description {
  const values = all.filter((value): value is number => value !== null && Number.isFinite(value)).sort((a, b) => a - b);
  const n = values.length;
  if (n === 0) return { n, mean: null, std: null, min: null, max: null, median: null, ci95T: null, ci95Bootstrap: null };
  const middle = values.slice(Math.floor((n - 1) / 2), Math.floor(n / 2) + 1);
  const base = { n, mean: mean(values), min: values[0] as number, max: values[n - 1] as number, median: mean(middle) };
  if (n < 2) return { ...base, std: null, ci95T: null, ci95Bootstrap: null };
  return { ...base, std: deviation(values), ci95T: tInterval(values), ci95Bootstrap: bootstrapInterval(values, seed) };
}

/** The quantile `p` of Student's t distribution. */
export function studentQuantile(p: number, freedom: number): number {
  return distributions().studentt.inv(p, freedom);
}

/** Of the mean of at least two values. */
export function tInterval(values: readonly number[], level = 0.95): Interval {
  const half = (studentQuantile(0.5 + level / 2, values.length - 1) * deviation(values)) / Math.sqrt(values.length);
  return [mean(values) - half, mean(values) + half];
}

/**
 * BCa interval (Efron 1987) of the mean of at least two values, from seeded resamples: the same values and seed give the same
 * interval. With few values it is narrower than it should be, and the t interval is the one to trust.
 */
export function bootstrapInterval(values: readonly number[], seed: number, level = 0.95): Interval {
  const n = values.length;
  const centre = mean(values);
  // For values that differ by rounding only the formulas below would divide 0 by 0.
  if (deviation(values) === 0) return [centre, centre];
  const random = new Random(seed);
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor(random.uniform() * n)] as number;
    return sum / n;
  }).sort();
  const below = means.reduce((count, value) => count + (value < centre ? 1 : value === centre ? 0.5 : 0), 0);
  const z0 = distributions().normal.inv(below / resamples, 0, 1);
  // The jackknife means, from which the acceleration is estimated.
  const left = values.map((value) => (centre * n - value) / (n - 1));
  const deviations = left.map((value) => mean(left) - value);
  const squares = deviations.reduce((sum, d) => sum + d * d, 0);
  const a = deviations.reduce((sum, d) => sum + d ** 3, 0) / (6 * squares ** 1.5);
  const share = (p: number) => {
    const z = z0 + distributions().normal.inv(p, 0, 1);
    return distributions().normal.cdf(z0 + z / (1 - a * z), 0, 1);
  };
  return [quantile(means, share((1 - level) / 2)), quantile(means, share((1 + level) / 2))];
}

/** Linear interpolation between sorted values, as numpy does. */
export function quantile(sorted: ArrayLike<number>, p: number): number {
  const at = Math.min(1, Math.max(0, p)) * (sorted.length - 1);
  const low = sorted[Math.floor(at)] as number;
  return low + (at - Math.floor(at)) * ((sorted[Math.ceil(at)] as number) - low);
}
