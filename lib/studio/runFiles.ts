/** What the files of one experiment say of it, also while it is trained: its log of events is read as it grows. */
import { existsSync } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { readJson } from "../files/json.js";
import { hasTrainedWeights } from "../predict/trained.js";
import { meanOrNull } from "../stats/summary.js";
import { experimentOwner } from "../train/lock.js";
import { OutputTree } from "../train/outputTree.js";
import type { Epoch, Run, RunRow } from "./api.js";

type Json = Record<string, unknown>;
export type Step = Run["steps"][number];

/** Of the log: as much as a person looks at. */
const logBytes = 1 << 16;

export class RunFiles {
  readonly name: string;
  readonly #tree: OutputTree;
  readonly #root: string;
  /** Bytes of the log of events that were read: whole lines. */
  #read = 0;
  #reading: Promise<void> = Promise.resolve();
  /** By fold, stage and epoch: a run that is resumed repeats some. */
  readonly #epochs = new Map<string, Epoch>();
  #steps: Step[] = [];
  /** Folds, as the log counts them. */
  #folds = 1;
  #failure: string | null = null;

  constructor(root: string, name: string) {
    this.#root = root;
    this.name = name;
    this.#tree = new OutputTree(root, name);
  }

  get folder(): string {
    return this.#tree.root;
  }

  /** The last step of the epoch that is trained, or was when the run was stopped. */
  get lastStep(): Step | null {
    return this.#steps.at(-1) ?? null;
  }

  /** Reads what was written since the last time. */
  follow(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#more());
    return this.#reading;
  }

  async #more(): Promise<void> {
    const { size } = await stat(this.#tree.events).catch(() => ({ size: 0 }));
    if (size < this.#read) this.#begin(); // the run was started anew
    if (size === this.#read) return;
    const bytes = await bytesFrom(this.#tree.events, this.#read, size).catch(() => Buffer.alloc(0)); // it was removed meanwhile
    const end = bytes.lastIndexOf(10) + 1;
    this.#read += end;
    for (const line of bytes.toString("utf8", 0, end).split("\n")) this.#take(line);
  }

  #begin(): void {
    this.#read = 0;
    this.#epochs.clear();
    this.#steps = [];
    this.#failure = null;
  }

  #take(line: string): void {
    const event = parsed(line);
    if (event.type === "epoch") this.#takeEpoch(event as unknown as Epoch);
    if (event.type === "step") this.#takeStep(event as unknown as Step & { losses: Record<string, number> });
    if (event.type !== "fold") return;
    this.#folds = event.folds as number;
    if (event.state === "failed") this.#failure = String((event.error as Json | undefined)?.message);
  }

  #takeEpoch(event: Epoch): void {
    const { fold, stage, epoch, epochs, seconds, lr, train, validation, scores, improved } = event;
    const own = { fold, stage, epoch, epochs, seconds, lr, train, validation, scores, improved };
    this.#epochs.set(`${fold} ${stage} ${epoch}`, own);
    this.#steps = [];
  }

  #takeStep({ stage, epoch, step, steps, losses }: Step & { losses: Record<string, number> }): void {
    if (step <= (this.lastStep?.step ?? 0)) this.#steps = [];
    this.#steps.push({ stage, epoch, step, steps, loss: losses.total_loss ?? null });
  }

  async row(): Promise<RunRow> {
    const [config, results, before, state] = await Promise.all([
      readJson<Json>(this.#tree.config).catch(() => ({}) as Json),
      readJson<Json[]>(this.#tree.individualResults).catch(() => []),
      readJson<Json | Json[]>(this.#tree.preeval).catch(() => []),
      readJson<Json>(this.#tree.runState).catch(() => null),
    ]);
    const running = (await experimentOwner(this.#root, this.name)) !== null;
    const failures = results.flatMap(({ error }) => (error ? [String((error as Json).message)] : []));
    const finished = state?.status === "finished";
    const failed = finished && results.length > 0 && failures.length === results.length;
    // A training that begins makes its folder to see whether it can, and removes it again.
    const changed = await stat(this.#tree.events).catch(() => stat(this.#tree.root).catch(() => null));
    const epochs = [...this.#epochs.values()];
    return {
      name: this.name,
      state: running ? "running" : failed ? "failed" : finished ? "finished" : state ? "stopped" : "failed",
      epoch: epochs.at(-1) ?? null,
      done: epochs.length,
      // Stages may have ended early.
      total: finished ? epochs.length : Math.max(epochs.length, this.#folds * epochsOf(config)),
      changed: (changed?.mtime ?? new Date()).toISOString(),
      trainImages: numberOrNull(results[0]?.train_images),
      valImages: numberOrNull(results[0]?.val_images),
      f1: meanOf(results.map(({ evaluation }) => (evaluation as Json | null)?.f1)),
      f1Before: meanOf([before].flat().map(({ f1 }) => f1)),
      report: existsSync(this.#tree.report),
      weights: hasTrainedWeights(this.#tree.root),
      message: failures[0] ?? (running || finished ? null : this.#failure),
    };
  }

  async whole(): Promise<Run> {
    const config = await readJson<Json>(this.#tree.config).catch(() => ({}));
    return { ...(await this.row()), config, epochs: [...this.#epochs.values()], steps: this.#steps };
  }

  /** The end of the log for people. */
  async log(): Promise<string> {
    const { size } = await stat(this.#tree.log).catch(() => ({ size: 0 }));
    if (size === 0) return "";
    const text = (await bytesFrom(this.#tree.log, Math.max(0, size - logBytes), size)).toString();
    return size > logBytes ? text.slice(text.indexOf("\n") + 1) : text;
  }

  /** The report; null before there is one. */
  async reportPage(): Promise<string | null> {
    return existsSync(this.#tree.report) ? readFile(this.#tree.report, "utf8") : null;
  }
}

async function bytesFrom(path: string, start: number, end: number): Promise<Buffer> {
  await using file = await open(path);
  const buffer = Buffer.alloc(end - start);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
  return buffer.subarray(0, bytesRead);
}

function parsed(line: string): Json {
  try {
    return JSON.parse(line) as Json;
  } catch {
    return {}; // the last line of a process that was killed
  }
}

/** Epochs of all stages, as a configuration plans them. */
function epochsOf(config: Json): number {
  const stages = (config.stages as number[] | undefined) ?? [];
  return stages.reduce(
    (sum, stage) => sum + Number((config[`stage${stage}_config`] as Json | undefined)?.total_epochs ?? 0),
    0,
  );
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function meanOf(values: readonly unknown[]): number | null {
  return meanOrNull(values.filter((value) => typeof value === "number"));
}
