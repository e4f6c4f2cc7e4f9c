/** Forecasts when a whole run ends, from the times of its events: the rest of this stage, later stages, and later folds. */
import type { EpochEvent, FoldEvent, ProgressEvent, StepEvent, TrainingEvent } from "../events.js";
import { meanOrNull } from "../stats/summary.js";

type Stage = 1 | 2;

export class Remaining {
  /** Epochs of each stage that trains; 0 for one that does not. */
  readonly #epochs: Record<Stage, number>;
  #fold = { number: 1, of: 1, begun: Number.NaN, whole: false };
  readonly #foldSeconds: number[] = [];
  /** The stage that trains; its finished epochs, with the share of the one that runs. */
  #now: { stage: Stage; epochs: number } | null = null;
  readonly #done = new Set<Stage>();
  /** Stages of which an epoch was measured, and not only steps. */
  readonly #measured = new Set<Stage>();
  readonly #epochSeconds: Partial<Record<Stage, number>> = {};
  /** Seconds that measuring takes before or after the training of a fold, and how often that is done in a fold. */
  #evaluation = { seconds: 0, begun: 0, times: 1, share: 0 };

  constructor(epochs: Record<Stage, number>) {
    this.#epochs = epochs;
  }

  /** @param now in seconds */
  see(event: TrainingEvent, now: number): void {
    if (event.type === "fold") this.#seeFold(event, now);
    else if (event.type === "step") this.#seeStep(event);
    else if (event.type === "epoch") this.#seeEpoch(event);
    else if (event.type === "progress" && event.task === "evaluate") this.#seeEvaluation(event, now);
    else if (event.type === "stage" && event.state === "begin") this.#now = { stage: event.stage, epochs: 0 };
    else if (event.type === "stage") {
      this.#now = null;
      this.#done.add(event.stage);
    }
  }

  /** Seconds until the run is over if no stage stops early; null before there is a measure. */
  seconds(): number | null {
    const stages = ([1, 2] as const).filter((stage) => this.#epochs[stage] > 0);
    // A stage that has not run yet is taken to be as fast as the one that has.
    const known = Object.values(this.#epochSeconds).at(-1);
    if (known === undefined) return null;
    const { seconds, times, share } = this.#evaluation;
    const of = (stage: Stage, epochs: number) => epochs * (this.#epochSeconds[stage] ?? known);
    const own = stages
      .filter((stage) => !this.#done.has(stage))
      .reduce((sum, stage) => sum + of(stage, this.#epochs[stage] - (this.#now?.stage === stage ? this.#now.epochs : 0)), 0);
    const evaluation = seconds * (stages.every((stage) => this.#done.has(stage)) ? 1 - share : 1);
    const whole = stages.reduce((sum, stage) => sum + of(stage, this.#epochs[stage]), 0) + times * seconds;
    return own + evaluation + (this.#fold.of - this.#fold.number) * (meanOrNull(this.#foldSeconds) ?? whole);
  }

  #seeFold({ fold, folds, state }: FoldEvent, now: number): void {
    if (state === "end" && this.#fold.whole) this.#foldSeconds.push(now - this.#fold.begun);
    // A fold that a resumed run continues is shorter than the others.
    this.#fold = { number: fold, of: folds, begun: now, whole: state === "begin" };
    this.#now = null;
    this.#evaluation = { ...this.#evaluation, share: state === "begin" ? 0 : 1 };
    if (state === "begin") this.#done.clear();
    else for (const stage of [1, 2] as const) this.#done.add(stage);
  }

  #seeStep({ stage, epoch, step, steps, images, imagesPerSecond }: StepEvent): void {
    this.#enter(stage, epoch - 1 + step / steps);
    // Before the first epoch is over, with its validation.
    if (!this.#measured.has(stage)) this.#epochSeconds[stage] = (images / imagesPerSecond) * (steps / step);
  }

  #seeEpoch({ stage, epoch, seconds }: EpochEvent): void {
    this.#enter(stage, epoch);
    this.#measured.add(stage);
    this.#epochSeconds[stage] = seconds;
  }

  #enter(stage: Stage, epochs: number): void {
    // Neither its beginning nor an earlier epoch was seen: the run was resumed.
    if (!this.#now && epochs >= 1) this.#fold.whole = false;
    if (stage === 2 && this.#epochs[1] > 0 && !this.#done.has(1)) {
      this.#done.add(1);
      this.#fold.whole = false;
    }
    this.#now = { stage, epochs };
  }

  #seeEvaluation({ done, total }: ProgressEvent, now: number): void {
    if (this.#now !== null) return; // after an epoch: its seconds have it
    if (done === 1) this.#evaluation.begun = now;
    this.#evaluation.share = done / total;
    if (this.#now === null && this.#done.size === 0) this.#evaluation.times = 2;
    // The first image is done when its event arrives.
    if (done > 1) this.#evaluation.seconds = ((now - this.#evaluation.begun) * total) / (done - 1);
  }
}
