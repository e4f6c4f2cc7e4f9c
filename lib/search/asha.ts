/**
 * Asynchronous successive halving over epochs, in its stopping form (Li et al. 2020, "A System for Massively Parallel
 * Hyperparameter Tuning"). A trial that reaches a rung goes on if its loss is among the best 1/eta of all that have reached it.
 */
import type { SearchOptions } from "../config/search.js";
import { CellsamError } from "../errors.js";
import { detectorLosses } from "../settings/losses/detector.js";
import { maskLossSettings } from "../settings/losses/table.js";
import type { TrialEpoch, TrialFold } from "./messages.js";
import type { Judgement, Pruner } from "./pruner.js";

/** Settings that change what a stage's validation loss measures, so that losses of different trials do not compare. */
const lossSettings: Record<1 | 2, readonly string[]> = {
  1: [...Object.keys(detectorLosses.settings), "focalAlpha", "auxLoss"],
  2: [...Object.keys(maskLossSettings), "useBoundaryLoss", "iouLossWeight"],
};

const rungPattern = /^stage (\d) epoch (\d+)$/;

export class AshaPruner implements Pruner {
  readonly rule: string;
  readonly notes: string[] = [];
  readonly #eta: number;
  readonly #minEpochs: number;
  readonly #stages: ReadonlySet<number>;
  /** Losses by rung, each of one trial. */
  readonly #rungs = new Map<string, Map<number, number>>();
  /** Lowest validation loss of a trial's stage so far. */
  readonly #best = new Map<string, number>();

  /** `searched` are dotted settings. @throws CellsamError ERR_CONFIG when no stage's losses compare */
  constructor({ eta, minEpochs }: Pick<SearchOptions, "eta" | "minEpochs">, searched: readonly string[]) {
    this.#eta = eta;
    this.#minEpochs = minEpochs;
    const clash = (stage: 1 | 2) =>
      searched.filter((path) => lossSettings[stage].some((name) => path === `stage${stage}Config.${name}`));
    this.#stages = new Set(([1, 2] as const).filter((stage) => clash(stage).length === 0));
    if (this.#stages.size === 0) {
      throw new CellsamError(
        "ERR_CONFIG",
        `pruner asha compares validation losses, but the search changes what they measure (${[...clash(1), ...clash(2)].join(", ")}); use pruner folds or none, or leave these out`,
      );
    }
    for (const stage of [1, 2] as const) {
      if (clash(stage).length > 0)
        this.notes.push(
          `asha does not prune in stage ${stage}: ${clash(stage).join(", ")} changes what its validation loss measures`,
        );
    }
    this.rule = `asha: in the first fold, at epochs ${minEpochs} x ${eta}^n of a stage, a trial goes on if its lowest validation loss is among the best 1/${eta} (at least one) of all trials that have come as far`;
  }

  judge(trialId: number, report: TrialEpoch | TrialFold): Judgement | null {
    if (report.type !== "epoch" || report.fold !== 1 || !this.#stages.has(report.stage)) return null;
    const { stage, epoch, epochs, loss } = report;
    const key = `${trialId}:${stage}`;
    const best = Math.min(this.#best.get(key) ?? Number.POSITIVE_INFINITY, loss ?? Number.POSITIVE_INFINITY);
    this.#best.set(key, best);
    const rung = this.#rungAt(epoch);
    // The last epoch of a stage is too late to save anything in it.
    if (rung === null || epoch >= epochs) return null;
    const check = `stage ${stage} epoch ${rung}`;
    if (this.#rungs.get(check)?.has(trialId)) return null;
    this.#reach(check, trialId, best);
    return { check, value: Number.isFinite(best) ? best : null, keep: this.#among(check, trialId) };
  }

  restore(trialId: number, { check, value }: Judgement): void {
    const [, stage] = rungPattern.exec(check) ?? [];
    if (stage === undefined) return;
    const loss = value ?? Number.POSITIVE_INFINITY;
    this.#reach(check, trialId, loss);
    const key = `${trialId}:${stage}`;
    this.#best.set(key, Math.min(this.#best.get(key) ?? Number.POSITIVE_INFINITY, loss));
  }

  completed(): void {}

  /** The highest rung at or below an epoch: a trial that a kill carried past a rung unseen is judged at the next epoch. */
  #rungAt(epoch: number): number | null {
    let rung: number | null = null;
    for (let next = this.#minEpochs; next <= epoch; next *= this.#eta) rung = next;
    return rung;
  }

  #reach(check: string, trialId: number, loss: number): void {
    const rung = this.#rungs.get(check) ?? new Map<number, number>();
    this.#rungs.set(check, rung.set(trialId, loss));
  }

  #among(check: string, trialId: number): boolean {
    const rung = this.#rungs.get(check) as Map<number, number>;
    const own = rung.get(trialId) as number;
    const ahead = [...rung].filter(([id, loss]) => loss < own || (loss === own && id < trialId)).length;
    return ahead < Math.max(1, Math.floor(rung.size / this.#eta));
  }
}
