/**
 * Events of a training run and the channel that carries them to a `for await` loop. A slow reader must neither stop the
 * training nor fill the memory, so newer steps and progress take the place of unread ones; every other event is kept. The
 * channel is the only place where an event is left out: callbacks and the files of a run get every one.
 */
import type { Failure } from "./errors.js";

/** One batch; `losses` holds `total_loss` and its weighted parts by name. With mining the hard prompts count more in them. */
export interface StepEvent {
  type: "step";
  stage: 1 | 2;
  epoch: number;
  /** Steps finished in this epoch, from 1. */
  step: number;
  steps: number;
  images: number;
  imagesPerSecond: number;
  lr: number;
  gradNorm: number | null;
  losses: Record<string, number>;
}

/** One finished epoch, after its validation. `improved` says whether it is the best so far. */
export interface EpochEvent {
  type: "epoch";
  stage: 1 | 2;
  fold: number;
  epoch: number;
  epochs: number;
  lr: number;
  seconds: number;
  /** Means over the batches that counted; null when none did. */
  train: Record<string, number | null>;
  validation: Record<string, number | null> | null;
  improved: boolean;
  /** Outputs of frozen trunks in training and validation: those kept from before, and those that had to be computed. */
  features: { kept: number; computed: number };
}

/** One training of several, or the only one. */
export interface FoldEvent {
  type: "fold";
  /** From 1. */
  fold: number;
  folds: number;
  state: "begin" | "end" | "failed";
  /** Of a finished fold: its flat numbers (f1, ap50, mean_ap, pq, mean_prompt_iou, best_f1 ...); null where there is none. */
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

export interface ProgressEvent {
  type: "progress";
  /** What is being done: "check", "store", "evaluate" or "predict". */
  task: string;
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
 * A queue with one reader. `push` never blocks: while the newest unread event is a step or progress, the next event of that
 * type takes its place; behind any other event it queues.
 * The reader gets what was pushed before `end` or `fail`, then the end or the error.
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

  /** How many events wait for the reader. */
  get size(): number {
    return this.#pending.length;
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    if (this.#reading) throw new TypeError("the events of a run have one reader; share them from there");
    this.#reading = true;
    return {
      next: () => this.#next(),
      // A reader that leaves its loop early no longer holds up anything: later events are dropped.
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
    if (this.#waiting) return Promise.reject(new TypeError("next() was called again before it answered"));
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

/** Only progress that the next one makes obsolete may be dropped. */
function replaceable(event: { type: string }): boolean {
  return event.type === "step" || event.type === "progress";
}
