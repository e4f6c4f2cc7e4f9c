/**
 * trials.jsonl: the state of each trial, one line at a time, flushed to disk before the search continues. The last line of a
 * trial is valid; a line that a kill has cut off is dropped. `sha256` of a line is the hash of its other keys.
 */
import { existsSync } from "node:fs";
import { type FileHandle, open, readFile, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { CellsamError, type Failure } from "../errors.js";
import { textHash } from "../files/fileHash.js";
import { makeFolder, syncFolder } from "../files/folders.js";
import { strictJson } from "../files/json.js";
import type { ProcessMark } from "../pool/processMark.js";
import type { FoldRecord } from "./metric.js";

/** Validation loss over the epochs of one stage of one fold. */
export interface LossHistory {
  fold: number;
  stage: 1 | 2;
  train: (number | null)[];
  val: (number | null)[];
}

/** How far a trial got. */
export interface Reached {
  fold: number;
  stage: 1 | 2;
  epoch: number;
}

export interface RunningLine {
  trial_id: number;
  state: "running";
  device: string;
  /** null where a queue's worker does the trial. */
  process: ProcessMark | null;
}

/** A decision of a pruner about a running trial. */
export interface CheckLine {
  trial_id: number;
  state: "check";
  check: string;
  value: number | null;
  keep: boolean;
}

export interface EndLine {
  trial_id: number;
  state: "completed" | "failed" | "pruned";
  metric_value: number | null;
  /** As in results/individual_results.json; empty for a trial that did not complete. */
  results: FoldRecord[];
  history: LossHistory[];
  /** How far a trial got that did not complete; else null. */
  reached: Reached | null;
  seconds: number;
  error?: Failure;
  /** The process died. */
  crashed?: boolean;
}

export type Line = RunningLine | CheckLine | EndLine;

/** All complete lines, and their length in bytes. @throws CellsamError ERR_RESUME for a broken line that is not the last */
export async function readJournal(path: string): Promise<{ lines: Line[]; bytes: number }> {
  if (!existsSync(path)) return { lines: [], bytes: 0 };
  const content = await readFile(path);
  const bytes = content.lastIndexOf(10) + 1;
  const texts = content.subarray(0, bytes).toString("utf8").split("\n").slice(0, -1);
  const lines: Line[] = [];
  for (const [i, text] of texts.entries()) {
    try {
      lines.push(checkedLine(text));
    } catch (cause) {
      // A power failure can leave zeros at the end; anywhere else a broken line is an error.
      if (i === texts.length - 1) return { lines, bytes: bytes - Buffer.byteLength(text) - 1 };
      throw new CellsamError(
        "ERR_RESUME",
        `${path}: line ${i + 1} was changed or damaged; restore the file from a copy, or remove the line to run its trial again`,
        {
          cause,
          detail: { path, line: i + 1 },
        },
      );
    }
  }
  return { lines, bytes };
}

function checkedLine(text: string): Line {
  const { sha256, ...line } = JSON.parse(text) as Line & { sha256?: string };
  if (sha256 !== textHash(strictJson(line, 0))) throw new Error("the checksum does not fit");
  return line as Line;
}

export class Journal {
  readonly #file: FileHandle;
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Opens the journal to append after its last complete line, and returns its lines. */
  static async open(path: string): Promise<{ journal: Journal; lines: Line[] }> {
    await makeFolder(dirname(path));
    const { lines, bytes } = await readJournal(path);
    if (existsSync(path)) await truncate(path, bytes);
    const file = await open(path, "a");
    await syncFolder(dirname(path));
    return { journal: new Journal(file), lines };
  }

  /** Resolves when the line is on disk. */
  append(line: Line): Promise<void> {
    const text = `${strictJson({ ...line, sha256: textHash(strictJson(line, 0)) }, 0)}\n`;
    this.#writing = this.#writing.then(async () => {
      await this.#file.writeFile(text);
      await this.#file.datasync();
    });
    return this.#writing;
  }

  async close(): Promise<void> {
    await this.#writing.catch(() => undefined);
    await this.#file.close();
  }
}
