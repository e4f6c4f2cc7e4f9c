/**
 * Events of a training run, and the channel that carries them to a `for await` loop. A slow reader must neither stop the
 * training nor fill the memory, so a newer step or progress event replaces an unread one; every other event is kept. The
 * channel is the only place that leaves events out: callbacks and the files of a run get every one.
 */
import type { Failure } from "./errors.js";

/**
 * One batch. `losses` holds `total_loss` and its weighted parts by name; with hard example mining the hard prompts count more
 * in them.
 */
export interface StepEvent {
  type: "step";
  /** Only where folds are trained in processes of their own: the fold, from 1. */
  fold?: number;
  stage: 1 | 2;
  epoch: number;
  /** Steps finished in this epoch, of `steps`. */
  step: number;
  steps: number;
  /** Tiles of this epoch that were trained so far. */
  images: number;
  imagesPerSecond: number;
  lr: number;
  /** Global norm of the gradient before clipping; null for a batch without a step of the optimiser (`accumulate`). */
  gradNorm: number | null;
  losses: Record<string, number>;
}

/** One finished epoch, after its validation. `improved`: its validation loss is the lowest so far. */
export interface EpochEvent {
  type: "epoch";
  stage: 1 | 2;
  fold: number;
  epoch: number;
  epochs: number;
  lr: number;
  seconds: number;
  /** Means over the batches that had the loss; null where none had it. */
  train: Record<string, number | null>;
  /** null where nothing validates. */
  validation: Record<string, number | null> | null;
  /**
   * Scores of whole validation images (where nothing validates, of training images) by name: f1, ap50, mean_ap, pq,
   * mean_prompt_iou, ...; null where `evaluateEvery` does not choose the epoch.
   */
  scores: Record<string, number | null> | null;
  improved: boolean;
  /** Outputs of frozen backbones in training and validation: how many were read from the cache, and how many were computed. */
  features: { kept: number; computed: number };
}

/** One training of several, or the only one. */
export interface FoldEvent {
  type: "fold";
  /** From 1. */
  fold: number;
  folds: number;
  state: "begin" | "end" | "failed";
  /** Scores of a finished fold (f1, ap50, mean_ap, pq, mean_prompt_iou, best_f1, ...); null for a score that is not defined. */
  metrics?: Record<string, number | null>;
  /** Why a fold failed. */
  error?: Failure;
}

export interface StageEvent {
  type: "stage";
  stage: 1 | 2;
  fold: number;
  state: "begin" | "end";
  trainable?: number;
  stoppedEarly?: boolean;
}

export interface CheckpointEvent {
  type: "checkpoint";
  stage: 1 | 2;
  fold: number;
  epoch: number;
  kind: "best" | "resume";
  path: string;
}

/** What makes progress: reading files, looking for duplicates, cutting tiles, writing the store, measuring, predicting. */
export type ProgressTask = "check" | "duplicates" | "tiles" | "store" | "evaluate" | "predict";

export interface ProgressEvent {
  type: "progress";
  /** Only where folds are trained in processes of their own: the fold, from 1. */
  fold?: number;
  task: ProgressTask;
  done: number;
  total: number;
}

export interface NoticeEvent {
  type: "notice";
  level: "warning";
  message: string;
  detail?: Record<string, unknown>;
}

export type TrainingEvent = StepEvent | EpochEvent | FoldEvent | StageEvent | CheckpointEvent | ProgressEvent | NoticeEvent;

/**
 * A queue with one reader. `push` never blocks: where the newest unread event is a step or progress, the next event of the same
 * type replaces it; otherwise it is queued. The reader gets what was pushed before `end` or `fail`, then the end or the error.
 */
export class EventChannel<T extends { type: string } = TrainingEvent> implements AsyncIterable<T> {
  readonly #pending: T[] = [];
  #waiting: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void } | undefined;
  #closed = false;
  #error: { value: unknown } | undefined;
  #reading = false;

  push(event: T): void {
    if (this.#closed) return;
    if (this.#waiting) {
      const reader = this.#waiting;
      this.#waiting = undefined;
      reader.resolve({ done: false, value: event });
      return;
    }
    const newest = this.#pending.length - 1;
    if (replaceable(event) && this.#pending[newest]?.type === event.type) this.#pending[newest] = event;
    else this.#pending.push(event);
  }

  end(): void {
    this.#close(undefined);
  }

  /** Ends the channel with an error, which the reader gets after the events that were pushed before. */
  fail(error: unknown): void {
    this.#close({ value: error });
  }

  /** How many events are unread. */
  get size(): number {
    return this.#pending.length;
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    if (this.#reading) throw new TypeError("the events of a run have one reader; distribute them from there");
    this.#reading = true;
    return {
      next: () => this.#next(),
      // After a reader left its loop early, later events are dropped.
      return: async () => {
        this.end();
        this.#pending.length = 0;
        return { done: true, value: undefined };
      },
    };
  }

  #next(): Promise<IteratorResult<T>> {
    const event = this.#pending.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#error) {
      const error = this.#error.value;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    if (this.#waiting) return Promise.reject(new TypeError("next() was called again before its promise settled"));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #close(error: { value: unknown } | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    const reader = this.#waiting;
    this.#waiting = undefined;
    if (!reader) this.#error = error;
    else if (error) reader.reject(error.value);
    else reader.resolve({ done: true, value: undefined });
  }
}

/** Only events that the next one makes obsolete may be dropped. */
function replaceable(event: { type: string }): boolean {
  return event.type === "step" || event.type === "progress";
}
