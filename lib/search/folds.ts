/**
 * Racing over folds: a trial ends when its finished folds are significantly worse than the same folds of the best trial so far,
 * by a one-sided paired t test at 5 % with the variance of Nadeau and Bengio (2003), since folds share training images.
 */
import type { SearchOptions } from "../config/search.js";
import { CellsamError } from "../errors.js";
import { deviation, mean, studentQuantile } from "../stats/summary.js";
import type { TrialEpoch, TrialFold } from "./messages.js";
import { better, metricPath } from "./metric.js";
import type { Judgement, Pruner } from "./pruner.js";

/** 95 % quantile of Student's t distribution. */
export function studentT95(freedom: number): number {
  return studentQuantile(0.95, freedom);
}

/**
 * Whether `own` is significantly worse than `best`, fold by fold; false for fewer than two folds. `folds` is the number of all
 * folds.
 */
export function hopeless(own: readonly number[], best: readonly number[], folds: number, mode: "max" | "min"): boolean {
  const deficits = own.map((value, i) => (mode === "max" ? 1 : -1) * ((best[i] as number) - value));
  const n = deficits.length;
  if (n < 2) return false;
  const deficit = mean(deficits);
  // Of k folds, the validation images are 1 / (k - 1) of the training images.
  return deficit > studentT95(n - 1) * Math.sqrt(1 / n + 1 / (folds - 1)) * deviation(deficits) && deficit > 0;
}

/** The name of the metric in the event of a fold; null where events do not have it. */
export function eventMetric(name: string, key: string): string | null {
  const [group = "", ...rest] = metricPath(name, key);
  if (rest.length !== 1) return null;
  if (group === "evaluation") return rest[0] as string;
  return group === `best_${rest[0]}` ? group : null;
}

export class FoldPruner implements Pruner {
  readonly rule: string;
  readonly notes: string[] = [];
  readonly #options: Pick<SearchOptions, "minFolds" | "mode">;
  readonly #metric: string;
  readonly #folds = new Map<number, Map<number, number>>();
  #best: (number | null)[] | null = null;

  /** @throws CellsamError ERR_CONFIG without folds, or for a metric that events of folds do not have */
  constructor(options: Pick<SearchOptions, "minFolds" | "mode" | "metricName" | "metricKey">, strategy: string) {
    const { metricName, metricKey, minFolds } = options;
    const metric = eventMetric(metricName, metricKey);
    if (metric === null)
      throw new CellsamError(
        "ERR_CONFIG",
        `pruner folds cannot follow ${metricName}.${metricKey}; use best_f1.f1, best_dice.dice, best_ap50.ap50 or evaluation.NAME`,
      );
    if (strategy === "train_val_split" || strategy === "full_dataset")
      throw new CellsamError("ERR_CONFIG", `pruner folds needs a strategy with folds, such as k_fold, not ${strategy}`);
    this.#options = options;
    this.#metric = metric;
    this.rule = `folds: after ${minFolds} or more folds, a trial ends if its ${metricName}.${metricKey} is worse than that of the best finished trial on the same folds (one-sided paired t test, 5 %, Nadeau-Bengio variance)`;
  }

  judge(trialId: number, report: TrialEpoch | TrialFold): Judgement | null {
    if (report.type !== "fold") return null;
    const { fold, folds, metrics } = report;
    const value = metrics[this.#metric];
    if (typeof value !== "number") return null;
    const done = this.#folds.get(trialId) ?? new Map<number, number>();
    if (done.has(fold)) return null;
    this.#folds.set(trialId, done.set(fold, value));
    const best = this.#best;
    const shared = [...done].filter(([number]) => typeof best?.[number - 1] === "number");
    const judged = best !== null && fold < folds && shared.length >= this.#options.minFolds;
    const own = shared.map(([, measured]) => measured);
    const others = shared.map(([number]) => best?.[number - 1] as number);
    return { check: `fold ${fold}`, value, keep: !(judged && hopeless(own, others, folds, this.#options.mode)) };
  }

  restore(trialId: number, { check, value }: Judgement): void {
    const fold = Number(/^fold (\d+)$/.exec(check)?.[1]);
    if (!Number.isInteger(fold) || value === null) return;
    this.#folds.set(trialId, (this.#folds.get(trialId) ?? new Map<number, number>()).set(fold, value));
  }

  completed(_trialId: number, folds: readonly (number | null)[]): void {
    const known = (values: readonly (number | null)[]) => mean(values.filter((value) => value !== null));
    const own = known(folds);
    if (!Number.isFinite(own)) return;
    if (this.#best === null || better(own, known(this.#best), this.#options.mode)) this.#best = [...folds];
  }
}
