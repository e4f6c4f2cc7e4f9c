/**
 * Two stopping rules of the Python module that runs do not use: one with growing patience, and one that watches several
 * metrics.
 */
import { CellsamError } from "../errors.js";
import { EarlyStopping, type EarlyStoppingOptions } from "../monitor/earlyStopping.js";

export interface AdaptiveOptions extends Omit<EarlyStoppingOptions, "patience"> {
  /** Default 15. */
  basePatience?: number;
  /** Default 50. */
  maxPatience?: number;
  /** Default 1.5. */
  factor?: number;
}

/**
 * Early stopping whose patience grows once, to `factor` times as much and at most maxPatience: at the first score without
 * improvement after ten scores, if the mean improvement between the last ten was below half of minDelta (with minDelta 0: if
 * there was none).
 */
export class AdaptiveEarlyStopping extends EarlyStopping {
  readonly #maxPatience: number;
  readonly #factor: number;
  #scores: number[] = [];
  #adapted = false;

  constructor({ basePatience = 15, maxPatience = 50, factor = 1.5, ...options }: AdaptiveOptions = {}) {
    super({ ...options, patience: basePatience });
    if (!(factor >= 1)) throw new CellsamError("ERR_CONFIG", "AdaptiveEarlyStopping: factor must be 1 or more");
    this.#maxPatience = Math.max(maxPatience, basePatience);
    this.#factor = factor;
  }

  override update(score: number, epoch?: number): boolean {
    this.#scores = [...this.#scores, score].slice(-window);
    if (!this.#adapted && this.#scores.length === window && !this.improves(score) && this.#slow()) {
      this.patience = Math.min(Math.floor(this.patience * this.#factor), this.#maxPatience);
      this.#adapted = true;
    }
    return super.update(score, epoch);
  }

  #slow(): boolean {
    const sign = this.mode === "min" ? 1 : -1;
    const gains = this.#scores.slice(1).map((score, i) => Math.max(0, sign * ((this.#scores[i] as number) - score)));
    const mean = gains.reduce((sum, gain) => sum + (Number.isFinite(gain) ? gain : 0), 0) / gains.length;
    return mean < 0.5 * this.minDelta || mean === 0;
  }

  override reset(): void {
    super.reset();
    this.#scores = [];
    this.patience = this.basePatience;
    this.#adapted = false;
  }
}

const window = 10;

export interface WatchedMetric {
  mode: "min" | "max";
  /** Share in the vote of "weighted". Default 1. */
  weight?: number;
}

/**
 * When to stop. "any": one metric is out of patience. "all": every metric is. "weighted": those out of patience have at least
 * half of the weight.
 */
export type StoppingRule = "any" | "all" | "weighted";

/** Early stopping by several metrics. */
export class MultiMetricEarlyStopping {
  readonly #watched: [name: string, weight: number, stopping: EarlyStopping][];
  readonly #rule: StoppingRule;
  #stoppedEpoch: number | null = null;

  /** @throws CellsamError ERR_CONFIG without metrics, or for an unknown rule */
  constructor(
    metrics: Readonly<Record<string, WatchedMetric>>,
    { patience = 15, minDelta = 0, rule = "any" }: { patience?: number; minDelta?: number; rule?: StoppingRule } = {},
  ) {
    const names = Object.keys(metrics);
    if (names.length === 0) throw new CellsamError("ERR_CONFIG", "MultiMetricEarlyStopping: name at least one metric");
    if (!["any", "all", "weighted"].includes(rule))
      throw new CellsamError("ERR_CONFIG", `MultiMetricEarlyStopping: rule must be any, all or weighted, not ${rule}`);
    this.#rule = rule;
    this.#watched = Object.entries(metrics).map(([name, { mode, weight = 1 }]) => {
      if (!(weight >= 0)) throw new CellsamError("ERR_CONFIG", `MultiMetricEarlyStopping: ${name}: weight must be >= 0`);
      return [name, weight, new EarlyStopping({ patience, minDelta, mode })];
    });
  }

  /**
   * Takes the scores of one epoch and returns whether to stop. A metric that is missing or not finite counts as no improvement.
   */
  update(scores: Readonly<Record<string, number | null | undefined>>, epoch?: number): boolean {
    for (const [name, , stopping] of this.#watched) stopping.update(scores[name] ?? Number.NaN, epoch);
    if (this.shouldStop()) this.#stoppedEpoch ??= epoch ?? null;
    return this.shouldStop();
  }

  shouldStop(): boolean {
    const out = this.#watched.filter(([, , stopping]) => stopping.shouldStop());
    if (this.#rule === "any") return out.length > 0;
    if (this.#rule === "all") return out.length === this.#watched.length;
    const sum = (list: typeof out) => list.reduce((total, [, weight]) => total + weight, 0);
    return out.length > 0 && sum(out) >= sum(this.#watched) / 2;
  }

  /** null for an unknown metric, and before its first finite score. */
  getBestScore(name: string): number | null {
    return this.#watched.find(([own]) => own === name)?.[2].getBestScore() ?? null;
  }

  getInfo() {
    const metrics = Object.fromEntries(
      this.#watched.map(([name, weight, stopping]) => [name, { weight, ...stopping.getInfo() }]),
    );
    return { rule: this.#rule, metrics, stoppedEpoch: this.#stoppedEpoch, shouldStop: this.shouldStop() };
  }

  reset(): void {
    for (const [, , stopping] of this.#watched) stopping.reset();
    this.#stoppedEpoch = null;
  }
}
