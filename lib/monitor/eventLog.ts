/**
 * logs/events.jsonl: every event of a run for other programs, one JSON object per line, each with its time. Of a task's
 * progress only the end is written. What a resumed run repeats is in the file twice.
 */
import { existsSync, readFileSync, truncateSync } from "node:fs";
import type { TrainingEvent } from "../events.js";
import { strictJson } from "../files/json.js";
import { AppendedFile, type OnWriteFailure } from "./appendedFile.js";

export class EventLog {
  readonly #file: AppendedFile;
  readonly #every: number;

  /**
   * Of the steps, every `every`-th and the last of an epoch are written; default all. Appends; an incomplete last line of a
   * killed process is removed first. `onFailure` is told when the file cannot be written any longer, which never throws.
   */
  constructor(path: string, { every = 1, onFailure }: { every?: number; onFailure?: OnWriteFailure } = {}) {
    this.#file = new AppendedFile(path, onFailure);
    this.#file.attempt(() => existsSync(path) && truncateSync(path, readFileSync(path).lastIndexOf("\n") + 1));
    this.#every = every;
  }

  write(event: TrainingEvent): void {
    if (event.type === "step" && !isLogged(event, this.#every)) return;
    if (event.type === "progress" && event.done < event.total) return;
    this.#file.append(`${strictJson({ time: new Date().toISOString(), ...event }, 0)}\n`);
  }
}

/** Whether a step is one of those that are recorded. */
export function isLogged({ step, steps }: { step: number; steps: number }, every: number): boolean {
  return step % every === 0 || step === steps;
}
