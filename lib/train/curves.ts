/** Curves of a run for TensorBoard, in logs/tensorboard/fold_N: losses of steps and epochs, learning rates, scores. */
import { join } from "node:path";
import type { EpochEvent, StepEvent, TrainingEvent } from "../events.js";
import type { OnWriteFailure } from "../monitor/appendedFile.js";
import { isLogged } from "../monitor/eventLog.js";
import { EventWriter } from "../monitor/tensorboard.js";

export class Curves {
  readonly #folder: string;
  readonly #every: number;
  readonly #onFailure: OnWriteFailure;
  #failed = false;
  readonly #writers = new Map<string, EventWriter>();
  /** Events of steps do not contain their fold where one is trained after the other. */
  #fold = 1;

  /** Of the steps, every `every`-th and an epoch's last are drawn. Where a file cannot be written, drawing ends. */
  constructor(folder: string, every: number, onFailure?: OnWriteFailure) {
    this.#folder = folder;
    this.#every = every;
    this.#onFailure = (path, error) => {
      if (!this.#failed) onFailure?.(path, error);
      this.#failed = true;
    };
  }

  write(event: TrainingEvent): void {
    if (this.#failed) return;
    if (event.type === "fold" || event.type === "stage") this.#fold = event.fold;
    if (event.type === "step" && isLogged(event, this.#every)) this.#step(event);
    else if (event.type === "epoch") this.#epoch(event);
    else if (event.type === "fold" && event.metrics) this.#writer("results", event.fold, 1).scalars(1, event.metrics);
  }

  /** Steps are counted over the epochs of the stage. */
  #step({ fold = this.#fold, stage, epoch, step, steps, losses, lr, gradNorm }: StepEvent): void {
    const count = (epoch - 1) * steps + step;
    const scalars = { ...losses, learning_rate: lr, grad_norm: gradNorm };
    this.#writer(`stage${stage}_steps`, fold, count).scalars(count, scalars);
  }

  /** Training and validation have the same tags in runs of their own: TensorBoard draws both curves in one chart. */
  #epoch({ stage, fold, epoch, train, validation, scores, lr, seconds }: EpochEvent): void {
    this.#writer(`stage${stage}_train`, fold, epoch).scalars(epoch, { ...train, learning_rate: lr, seconds });
    if (validation) this.#writer(`stage${stage}_val`, fold, epoch).scalars(epoch, validation);
    if (scores) this.#writer(`stage${stage}_scores`, fold, epoch).scalars(epoch, scores);
  }

  #writer(run: string, fold: number, first: number): EventWriter {
    const folder = join(this.#folder, `fold_${fold}`, run);
    const writer = this.#writers.get(folder) ?? new EventWriter(folder, { restartAt: first, onFailure: this.#onFailure });
    this.#writers.set(folder, writer);
    return writer;
  }
}
