/**
 * The importance of each searched setting: the share of the variance of the metric between completed trials that the setting
 * explains alone (one-way analysis of variance). Interactions are not considered. With few trials large shares occur by chance,
 * so every share has a permutation p value. Pruned and failed trials are left out.
 */
import { Random } from "../data/random.js";
import { mean } from "../stats/summary.js";
import type { Hyperparameters } from "./trials.js";

/** With fewer completed trials there is no importance. */
export const fewestTrials = 4;
const permutations = 2000;
/** Values drawn from a range are divided into this many groups of equal size. */
const bins = 3;

export interface Importance {
  parameter: string;
  /** eta squared: sum of squares between values / total, 0 to 1. */
  share: number;
  /** epsilon squared: the share corrected for the number of values, not below 0. */
  adjusted_share: number;
  /** Probability of such a share if the setting did not matter, from random permutations. */
  p_value: number;
  values: { value: string | number | boolean | null; trials: number; mean: number }[];
}

export interface Scored {
  hyperparameters: Hyperparameters;
  metric: number;
}

/** Sum of squares between groups; `groups[i]` is the group of `values[i]`. */
function between(values: readonly number[], groups: readonly number[], count: number): number {
  const sums = new Float64Array(count);
  const sizes = new Float64Array(count);
  values.forEach((value, i) => {
    const group = groups[i] as number;
    sums[group] = (sums[group] as number) + value;
    sizes[group] = (sizes[group] as number) + 1;
  });
  const centre = mean(values);
  return sums.reduce((total, sum, g) => total + (sizes[g] as number) * (sum / (sizes[g] as number) - centre) ** 2, 0);
}

/** Groups trials by value. Numbers that are nearly all different, as from a range, are divided into bins. */
function grouped(raw: readonly (string | number | boolean | null)[]): {
  labels: (string | number | boolean | null)[];
  groups: number[];
} {
  const distinct = [...new Set(raw)];
  const numeric = raw.every((value) => typeof value === "number");
  if (numeric && distinct.length > Math.max(bins, raw.length / 2)) {
    const order = raw.map((value, i) => ({ value: value as number, i })).sort((a, b) => a.value - b.value);
    const groups = new Array<number>(raw.length);
    const members: number[][] = Array.from({ length: bins }, () => []);
    for (const [rank, { value, i }] of order.entries()) {
      const group = Math.floor((rank * bins) / raw.length);
      groups[i] = group;
      members[group]?.push(value);
    }
    return { labels: members.map((list) => `${list[0]} to ${list.at(-1)}`), groups };
  }
  const sorted = distinct.sort((a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)),
  );
  return { labels: sorted, groups: raw.map((value) => sorted.indexOf(value)) };
}

/**
 * Most important first; null with too few trials, or without any difference between them. Settings that do not vary are left
 * out.
 */
export function importanceOf(trials: readonly Scored[], parameters: readonly string[], seed: number): Importance[] | null {
  if (trials.length < fewestTrials) return null;
  const metrics = trials.map(({ metric }) => metric);
  const centre = mean(metrics);
  const total = metrics.reduce((sum, m) => sum + (m - centre) ** 2, 0);
  if (!(total > 0)) return null;
  const found = parameters.flatMap((parameter): Importance[] => {
    const { labels, groups } = grouped(trials.map(({ hyperparameters }) => hyperparameters[parameter] ?? null));
    const count = labels.length;
    if (count < 2 || count >= trials.length) return [];
    const explained = between(metrics, groups, count);
    const withinMean = (total - explained) / (trials.length - count);
    const random = new Random(seed);
    let asLarge = 1;
    for (let i = 0; i < permutations; i++) {
      if (between(random.shuffle(metrics), groups, count) >= explained * (1 - 1e-12)) asLarge += 1;
    }
    const values = labels.map((value, g) => {
      const own = metrics.filter((_, i) => groups[i] === g);
      return { value, trials: own.length, mean: mean(own) };
    });
    return [
      {
        parameter,
        share: Math.min(1, explained / total),
        adjusted_share: Math.max(0, (explained - (count - 1) * withinMean) / total),
        p_value: asLarge / (permutations + 1),
        values,
      },
    ];
  });
  return found.sort((a, b) => b.adjusted_share - a.adjusted_share || b.share - a.share);
}
