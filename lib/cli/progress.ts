/** Shows the events of a run: a progress bar on a terminal, plain lines elsewhere, JSON lines for programs. */
import type { EpochEvent, FoldEvent, NoticeEvent, StageEvent, StepEvent, TrainingEvent } from "../events.js";
import { strictJson } from "../files/json.js";

const barWidth = 24;
/** Shortest time between two plain lines about steps of an epoch. */
const quietMs = 30_000;

export interface ProgressOptions {
  json?: boolean | undefined;
  /** Epochs of each stage, for the remaining time. */
  epochs: Record<1 | 2, number>;
  /** Where bar and lines are written. Default: process.stderr, so that stdout has results only. */
  stream?: { isTTY?: boolean; columns?: number; write(text: string): unknown };
}

/** 3725 -> "1:02:05" */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** Seconds until all epochs of the stage are done, if early stopping does not end it before. */
export function secondsLeft({ epoch, step, steps, images, imagesPerSecond }: StepEvent, epochs: number): number {
  const imagesPerEpoch = (images / step) * steps;
  return ((epochs - epoch) * imagesPerEpoch + imagesPerEpoch - images) / imagesPerSecond;
}

export class Progress {
  readonly #options: ProgressOptions;
  readonly #stream: NonNullable<ProgressOptions["stream"]>;
  #lastLine = Date.now();
  #barShown = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#stream = options.stream ?? process.stderr;
  }

  show(event: TrainingEvent): void {
    if (this.#options.json) {
      process.stdout.write(`${strictJson(event, 0)}\n`);
      return;
    }
    if (event.type === "step") this.#transient(this.#step(event));
    else if (event.type === "progress")
      this.#transient(`${event.task} ${bar(event.done, event.total)} ${event.done}/${event.total}`);
    else if (event.type !== "checkpoint" && !(event.type === "fold" && event.folds === 1)) this.#line(sentence(event));
  }

  /** Removes the bar from the terminal. */
  finish(): void {
    if (this.#barShown) this.#stream.write("\r\x1b[K");
    this.#barShown = false;
  }

  #step(event: StepEvent): string {
    const { stage, epoch, step, steps, losses, imagesPerSecond } = event;
    const epochs = this.#options.epochs[stage];
    const left = clock(secondsLeft(event, epochs));
    const speed = `${imagesPerSecond.toPrecision(3)} images/s`;
    return `stage ${stage} epoch ${epoch}/${epochs} ${bar(step, steps)} ${step}/${steps} loss ${format(losses.total_loss)} ${speed} left ${left}`;
  }

  #line(text: string): void {
    this.finish();
    this.#stream.write(`${text}\n`);
    this.#lastLine = Date.now();
  }

  /** Shows progress that the next one replaces: in the same line of a terminal, elsewhere as a line now and then. */
  #transient(text: string): void {
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`);
      this.#barShown = true;
    } else if (Date.now() - this.#lastLine >= quietMs) {
      this.#line(text);
    }
  }
}

/** The line for an event that is not replaced by the next one. */
function sentence(event: EpochEvent | FoldEvent | StageEvent | NoticeEvent): string {
  if (event.type === "fold") return foldSentence(event);
  if (event.type === "notice") return `${event.level}: ${event.message}`;
  if (event.type === "stage") {
    if (event.state === "begin") return `stage ${event.stage}: trains ${event.trainable} parameters`;
    return `stage ${event.stage}: done${event.stoppedEarly ? ", stopped early" : ""}`;
  }
  const { stage, epoch, epochs, train, validation, improved, lr, seconds } = event;
  const loss = `train ${format(train.total_loss)}, val ${format(validation?.total_loss)}${improved ? " (best)" : ""}`;
  return `stage ${stage} epoch ${epoch}/${epochs}: ${loss}, lr ${lr.toPrecision(3)}, ${seconds.toFixed(1)} s`;
}

function foldSentence({ fold, folds, state, metrics, error }: FoldEvent): string {
  const head = `fold ${fold} of ${folds}`;
  if (state === "failed") return `${head}: failed, ${error?.code}: ${error?.message}`;
  if (state === "begin") return head;
  return `${head}: done, F1 ${format(metrics?.f1)}, AP at .5 ${format(metrics?.ap50)}`;
}

function bar(done: number, total: number): string {
  const filled = total > 0 ? Math.round((barWidth * done) / total) : 0;
  return `[${"#".repeat(filled)}${".".repeat(barWidth - filled)}]`;
}

function format(loss: number | null | undefined): string {
  return loss === null || loss === undefined ? "-" : loss.toPrecision(5);
}
