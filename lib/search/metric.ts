/** The metric by which trials are ranked: looked up in a trial's results, and averaged over its folds. */
import { snakeCase } from "../spelling.js";

/** One fold as results/individual_results.json has it. */
export type FoldRecord = Record<string, unknown>;

function group(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function finite(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** A number, or the mean of a list's finite numbers. */
function numberOf(value: unknown): number | null {
  if (finite(value)) return value;
  if (!Array.isArray(value)) return null;
  const numbers = value.filter(finite);
  return numbers.length > 0 ? numbers.reduce((sum, n) => sum + n, 0) / numbers.length : null;
}

/** The keys that lead to the metric, in snake_case. Both spellings are accepted; `name` may be dotted. */
export function metricPath(name: string, key: string): string[] {
  return `${name}.${key}`.split(".").map(snakeCase);
}

/** The metric of one fold; null where it is missing or not finite. */
export function foldMetric(fold: FoldRecord, path: readonly string[]): number | null {
  return numberOf(path.reduce<unknown>((inner, step) => (group(inner) ? inner[step] : undefined), fold));
}

/** The mean over the folds that have the metric; null when none has it. */
export function trialMetric(results: readonly FoldRecord[], name: string, key: string): number | null {
  return numberOf(results.map((fold) => foldMetric(fold, metricPath(name, key))));
}

/** Dotted names of the metrics by which a search can rank: all finite numbers of the results, two levels deep. */
export function availableMetrics(results: readonly FoldRecord[]): string[] {
  const names = new Set<string>();
  for (const fold of results) {
    for (const [name, inner] of Object.entries(fold)) {
      if (!group(inner)) continue;
      for (const [key, value] of Object.entries(inner)) if (finite(value)) names.add(`${name}.${key}`);
    }
  }
  return [...names].sort();
}

/** Whether `a` is better than `b`. Equal is not better. */
export function better(a: number, b: number, mode: "max" | "min"): boolean {
  return mode === "max" ? a > b : a < b;
}
