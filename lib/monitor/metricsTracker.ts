/** Histories of metrics with their best values. A run writes one file per stage, after every epoch. */
import { join } from "node:path";
import { CellsamError } from "../errors.js";
import { readJson, writeJson } from "../files/json.js";
import { type Direction, directionOf } from "../stats/direction.js";
import { deviation, meanOrNull } from "../stats/summary.js";

export type Phase = string;

/** One metric in one phase, such as training; null stands for a value that was not finite. */
interface Series {
  values: (number | null)[];
  epochs: number[];
}

export interface MetricSummary {
  latest: number | null;
  best: number | null;
  best_epoch: number | null;
  mean: number | null;
  /** Sample standard deviation (ddof 1); null for fewer than two values. */
  std: number | null;
  moving_avg: number | null;
  count: number;
}

export interface MetricsFile {
  history: Record<Phase, Record<string, (number | null)[]>>;
  epochs: Record<Phase, Record<string, number[]>>;
  best_values: Record<Phase, Record<string, number | null>>;
  best_epochs: Record<Phase, Record<string, number | null>>;
  summary: Record<Phase, Record<string, MetricSummary>>;
  directions: Record<string, Direction>;
  std_ddof: 1;
}

const defaultPhase = "train";

export interface MetricsTrackerOptions {
  saveDir?: string;
  /** How many values a moving average takes. Default 10. */
  windowSize?: number;
  /** Whether lower or higher is better, for metrics where `directionOf` is wrong. */
  directions?: Record<string, Direction>;
}

export class MetricsTracker {
  readonly saveDir: string | undefined;
  readonly windowSize: number;
  #directions: Record<string, Direction>;
  #phases = new Map<Phase, Map<string, Series>>();

  constructor({ saveDir, windowSize = 10, directions = {} }: MetricsTrackerOptions = {}) {
    this.saveDir = saveDir;
    this.windowSize = windowSize;
    this.#directions = { ...directions };
  }

  /**
   * Appends one value per metric. `when` is the epoch, or epoch and phase. Default: the next epoch, from 1, and the phase
   * "train".
   */
  update(metrics: Readonly<Record<string, number | null>>, when: number | { epoch?: number; phase?: Phase } = {}): void {
    const { epoch, phase = defaultPhase } = typeof when === "number" ? { epoch: when } : when;
    const series = this.#phases.get(phase) ?? new Map<string, Series>();
    this.#phases.set(phase, series);
    for (const [name, value] of Object.entries(metrics)) {
      const entry = series.get(name) ?? { values: [], epochs: [] };
      series.set(name, entry);
      entry.epochs.push(epoch ?? (entry.epochs.at(-1) ?? 0) + 1);
      entry.values.push(value !== null && Number.isFinite(value) ? value : null);
    }
  }

  logEpochMetrics(phase: Phase, epoch: number, metrics: Readonly<Record<string, number | null>>): void {
    this.update(metrics, { epoch, phase });
  }

  getLatest(name: string, phase: Phase = defaultPhase): number | null {
    return this.#series(name, phase)?.values.at(-1) ?? null;
  }

  getMovingAverage(name: string, phase: Phase = defaultPhase): number | null {
    return meanOrNull(finite(this.#series(name, phase)?.values.slice(-this.windowSize)));
  }

  /** The best value and its epoch, by the metric's direction; the earliest of equals. */
  getBest(name: string, phase: Phase = defaultPhase): { value: number | null; epoch: number | null } {
    const series = this.#series(name, phase);
    const sign = directionOf(name, this.#directions) === "min" ? 1 : -1;
    let at = -1;
    series?.values.forEach((value, i) => {
      if (value !== null && (at < 0 || sign * value < sign * (series.values[at] as number))) at = i;
    });
    return at < 0 ? { value: null, epoch: null } : { value: series?.values[at] ?? null, epoch: series?.epochs[at] ?? null };
  }

  /** Whether the best value lies within the last `patience` values. */
  hasImproved(name: string, { patience = 1, phase = defaultPhase }: { patience?: number; phase?: Phase } = {}): boolean {
    const { epoch } = this.getBest(name, phase);
    return epoch !== null && (this.#series(name, phase)?.epochs.slice(-patience).includes(epoch) ?? false);
  }

  getAllMetrics(): MetricsFile["history"] {
    return this.#map((series) => [...series.values]);
  }

  getSummary(): MetricsFile["summary"] {
    return this.#map((series, name, phase) => {
      const values = finite(series.values);
      const best = this.getBest(name, phase);
      return {
        latest: series.values.at(-1) ?? null,
        best: best.value,
        best_epoch: best.epoch,
        mean: meanOrNull(values),
        std: values.length < 2 ? null : deviation(values),
        moving_avg: this.getMovingAverage(name, phase),
        count: series.values.length,
      };
    });
  }

  reset(): void {
    this.#phases.clear();
  }

  toJSON(): MetricsFile {
    const names = new Set([...this.#phases.values()].flatMap((series) => [...series.keys()]));
    return {
      history: this.getAllMetrics(),
      epochs: this.#map((series) => [...series.epochs]),
      best_values: this.#map((_, name, phase) => this.getBest(name, phase).value),
      best_epochs: this.#map((_, name, phase) => this.getBest(name, phase).epoch),
      summary: this.getSummary(),
      directions: Object.fromEntries([...names].map((name) => [name, directionOf(name, this.#directions)])),
      std_ddof: 1,
    };
  }

  restore(file: MetricsFile): void {
    this.reset();
    this.#directions = { ...file.directions };
    for (const [phase, metrics] of Object.entries(file.history)) {
      const series = new Map<string, Series>();
      for (const [name, values] of Object.entries(metrics)) {
        series.set(name, { values: [...values], epochs: [...(file.epochs[phase]?.[name] ?? values.map((_, i) => i + 1))] });
      }
      this.#phases.set(phase, series);
    }
  }

  /** Writes `filename` into saveDir and returns its path. @throws CellsamError ERR_INVALID_ARGUMENT without saveDir */
  async saveMetrics(filename = "metrics.json"): Promise<string> {
    const path = this.#path(filename);
    await writeJson(path, this);
    return path;
  }

  async loadMetrics(filename = "metrics.json"): Promise<void> {
    this.restore(await readJson<MetricsFile>(this.#path(filename)));
  }

  #path(filename: string): string {
    if (!this.saveDir) throw new CellsamError("ERR_INVALID_ARGUMENT", "MetricsTracker: give saveDir to save or load metrics");
    return join(this.saveDir, filename);
  }

  #series(name: string, phase: Phase): Series | undefined {
    return this.#phases.get(phase)?.get(name);
  }

  #map<T>(value: (series: Series, name: string, phase: Phase) => T): Record<Phase, Record<string, T>> {
    const result: Record<Phase, Record<string, T>> = {};
    for (const [phase, metrics] of this.#phases) {
      result[phase] = Object.fromEntries([...metrics].map(([name, series]) => [name, value(series, name, phase)]));
    }
    return result;
  }
}

function finite(values: readonly (number | null)[] = []): number[] {
  return values.filter((value) => value !== null);
}
