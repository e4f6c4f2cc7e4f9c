/** Shows the events of a run: a progress bar on a terminal, plain lines elsewhere, JSON lines for programs. */
import { inFileSpelling } from "../config/fileSpelling.js";
import type { EpochEvent, FoldEvent, NoticeEvent, ProgressEvent, StageEvent, StepEvent, TrainingEvent } from "../events.js";
import { strictJson } from "../files/json.js";
import { Remaining } from "./remaining.js";

const barWidth = 16;
/** What the tasks of progress events do. */
const tasks: Record<string, string> = {
  check: "reading images",
  duplicates: "comparing images",
  store: "cutting tiles",
  tiles: "counting tiles",
  evaluate: "measuring images",
  predict: "finding cells",
};
/** Shortest time between two plain lines about steps of an epoch. */
const quietMs = 30_000;

export interface ProgressOptions {
  json?: boolean | undefined;
  /** Epochs of each stage that trains, for the remaining time. */
  epochs: Record<1 | 2, number>;
  /** The time in milliseconds. Default: Date.now. */
  now?: () => number;
  /** Where bar and lines are written. Default: process.stderr, so that stdout has results only. */
  stream?: { isTTY?: boolean; columns?: number; write(text: string): unknown };
}

/** 3725 -> "1:02:05" */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

export class Progress {
  readonly #options: ProgressOptions;
  readonly #stream: NonNullable<ProgressOptions["stream"]>;
  readonly #now: () => number;
  readonly #remaining: Remaining;
  #lastLine: number;
  #barShown = false;
  /** The fold that began last, and how many there are. */
  #fold = { number: 1, of: 1 };
  #running = 0;
  /** Whether several folds are trained at a time: lines then name theirs, and nobody knows how long the rest takes. */
  #atOnce = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#stream = options.stream ?? process.stderr;
    this.#now = options.now ?? Date.now;
    this.#lastLine = this.#now();
    this.#remaining = new Remaining(options.epochs);
  }

  show(event: TrainingEvent): void {
    if (this.#options.json) {
      process.stdout.write(`${strictJson(event, 0)}\n`);
      return;
    }
    if (event.type === "fold") this.#seeFold(event);
    if (!this.#atOnce) this.#remaining.see(event, this.#now() / 1000);
    if (event.type === "step") this.#step(event);
    else if (event.type === "progress") this.#progress(event);
    else if (event.type === "epoch") this.#epoch(event);
    else if (event.type === "stage") this.#line(this.#head(event) + sentence(event));
    else if (event.type !== "checkpoint" && !(event.type === "fold" && event.folds === 1)) this.#line(sentence(event));
  }

  #seeFold({ fold, folds, state }: FoldEvent): void {
    this.#fold = { number: fold, of: folds };
    this.#running += state === "begin" ? 1 : -1;
    this.#atOnce ||= this.#running > 1;
  }

  /** "fold 2/5, " where several are trained at a time. */
  #head({ fold }: { fold: number }): string {
    return this.#atOnce ? `fold ${fold}/${this.#fold.of}, ` : "";
  }

  /** Removes the bar from the terminal. */
  finish(): void {
    if (this.#barShown) this.#stream.write("\r\x1b[K");
    this.#barShown = false;
  }

  #step({ fold = this.#fold.number, stage, epoch, step, steps, losses }: StepEvent): void {
    const head = `${this.#fold.of > 1 ? `fold ${fold}/${this.#fold.of}, ` : ""}stage ${stage} epoch ${epoch}/${this.#options.epochs[stage]}`;
    const tail = `loss ${format(losses.total_loss)}${this.#left()}`;
    this.#transient({ head, done: step, total: steps, tail });
  }

  #epoch(event: EpochEvent): void {
    this.#line(this.#head(event) + epochSentence(event) + this.#left());
    const { stage, epoch, scores } = event;
    if (scores) this.#line(`${this.#head(event)}stage ${stage} epoch ${epoch}: F1 ${format(scores.f1)} on whole images`);
  }

  #progress({ task, done, total }: ProgressEvent): void {
    const tail = `${done}/${total}${task === "evaluate" ? this.#left() : ""}`;
    this.#transient({ head: tasks[task] ?? task, done, total, tail });
  }

  /** ", 1:02:05 left": until the end of the whole run. */
  #left(): string {
    const seconds = this.#atOnce ? null : this.#remaining.seconds();
    return seconds === null ? "" : `, ${clock(seconds)} left`;
  }

  #line(text: string): void {
    this.finish();
    this.#stream.write(`${text}\n`);
    this.#lastLine = this.#now();
  }

  /** Shows progress that the next one replaces: in the same line of a terminal, elsewhere as a line now and then. */
  #transient({ head, done, total, tail }: { head: string; done: number; total: number; tail: string }): void {
    if (this.#stream.isTTY) {
      const columns = (this.#stream.columns ?? 80) - 1;
      const room = Math.max(4, Math.min(barWidth, columns - head.length - tail.length - 4));
      this.#stream.write(`\r\x1b[K${`${head} ${bar(done, total, room)} ${tail}`.slice(0, columns)}`);
      this.#barShown = true;
    } else if (this.#now() - this.#lastLine >= quietMs) {
      const share = total > 0 ? Math.round((100 * done) / total) : 0;
      this.#line(`${head} ${share} %, ${tail}`);
    }
  }
}

/** What each stage trains, for readers who do not know the network. */
const purposes = { 1: "learning to find the cells", 2: "learning the outlines of the cells" } as const;

function epochSentence({ stage, epoch, epochs, train, validation, improved }: EpochEvent): string {
  const measured = validation ? `, validation ${format(validation.total_loss)}${improved ? " (best)" : ""}` : "";
  return `stage ${stage} epoch ${epoch}/${epochs}: loss ${format(train.total_loss)}${measured}`;
}

/** The line for an event that is not replaced by the next one. */
function sentence(event: FoldEvent | StageEvent | NoticeEvent): string {
  if (event.type === "fold") return foldSentence(event);
  if (event.type === "notice") return `${event.level}: ${inFileSpelling(event.message)}`;
  if (event.state === "begin") return `stage ${event.stage}: ${purposes[event.stage]}`;
  return `stage ${event.stage}: done${event.stoppedEarly ? ", stopped early: no longer getting better" : ""}`;
}

function foldSentence({ fold, folds, state, metrics, error }: FoldEvent): string {
  const head = `fold ${fold} of ${folds}`;
  if (state === "failed") return `${head}: failed, ${error?.code}: ${error?.message}`;
  if (state === "begin") return head;
  return `${head}: done, F1 ${format(metrics?.f1)}, AP at .5 ${format(metrics?.ap50)}`;
}

function bar(done: number, total: number, width: number): string {
  const filled = total > 0 ? Math.round((width * done) / total) : 0;
  return `[${"#".repeat(filled)}${".".repeat(width - filled)}]`;
}

function format(loss: number | null | undefined): string {
  return loss === null || loss === undefined ? "-" : loss.toPrecision(4);
}
