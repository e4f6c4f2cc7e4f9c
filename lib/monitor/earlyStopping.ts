/** Stops a training whose score has not improved for a number of epochs. */
import { CellsamError } from "../errors.js";

export interface EarlyStoppingOptions {
  /** Scores without improvement before stopping; 0 stops at the first one. Default 15. */
  patience?: number;
  /** By how much a score must be better to count as an improvement; the sign does not matter. Default 0. */
  minDelta?: number;
  /** Whether lower or higher is better. Default "min". */
  mode?: "min" | "max";
}

export interface EarlyStoppingState {
  wait: number;
  bestScore: number | null;
  stoppedEpoch: number | null;
  shouldStop: boolean;
}

export class EarlyStopping {
  /** AdaptiveEarlyStopping increases it. */
  protected patience: number;
  protected readonly basePatience: number;
  readonly minDelta: number;
  readonly mode: "min" | "max";
  #wait = 0;
  #best: number | null = null;
  #stoppedEpoch: number | null = null;
  #stop = false;

  /** @throws CellsamError ERR_CONFIG */
  constructor({ patience = 15, minDelta = 0, mode = "min" }: EarlyStoppingOptions = {}) {
    if (mode !== "min" && mode !== "max")
      throw new CellsamError("ERR_CONFIG", `EarlyStopping: mode must be min or max, not ${mode}`);
    if (!Number.isInteger(patience) || patience < 0)
      throw new CellsamError("ERR_CONFIG", "EarlyStopping: patience must be an integer >= 0");
    this.patience = patience;
    this.basePatience = patience;
    this.minDelta = Math.abs(minDelta);
    this.mode = mode;
  }

  /**
   * Takes one score and returns whether to stop. A score that is not finite is never the best, and counts as no improvement.
   */
  update(score: number, epoch?: number): boolean {
    if (this.improves(score)) {
      this.#best = score;
      this.#wait = 0;
      return this.#stop;
    }
    this.#wait += 1;
    if (this.#wait >= this.patience && !this.#stop) {
      this.#stop = true;
      this.#stoppedEpoch = epoch ?? this.#wait;
    }
    return this.#stop;
  }

  /** Whether `score` would become the best. */
  protected improves(score: number): boolean {
    if (!Number.isFinite(score)) return false;
    if (this.#best === null) return true;
    return this.mode === "min" ? score < this.#best - this.minDelta : score > this.#best + this.minDelta;
  }

  /** Whether to stop; with a score, after `update`. */
  shouldStop(score?: number, epoch?: number): boolean {
    return score === undefined ? this.#stop : this.update(score, epoch);
  }

  reset(): void {
    this.restore({ wait: 0, bestScore: null, stoppedEpoch: null, shouldStop: false });
  }

  getBestScore(): number | null {
    return this.#best;
  }

  getWaitCount(): number {
    return this.#wait;
  }

  getInfo() {
    return { patience: this.patience, minDelta: this.minDelta, mode: this.mode, ...this.state() };
  }

  state(): EarlyStoppingState {
    return { wait: this.#wait, bestScore: this.#best, stoppedEpoch: this.#stoppedEpoch, shouldStop: this.#stop };
  }

  restore(state: EarlyStoppingState): void {
    this.#wait = state.wait;
    this.#best = state.bestScore;
    this.#stoppedEpoch = state.stoppedEpoch;
    this.#stop = state.shouldStop;
  }
}
