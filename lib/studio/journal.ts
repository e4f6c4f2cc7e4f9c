/**
 * The journal of an image: what its labels began with, and every edit since, one JSON object a line. A line is on the disk
 * before its edit is answered, so that a killed server loses at most the edit that it was writing.
 */
import { type FileHandle, open } from "node:fs/promises";
import { CellsamError } from "../errors.js";
import { strictJson } from "../files/json.js";
import { writeAtomic } from "../files/writeAtomic.js";
import { type Delta, packRuns, unpackRuns } from "./delta.js";
import type { CellNote } from "./labelMap.js";

export type Base = "empty" | "own" | "prediction";

/** The first line. */
export interface JournalHead {
  format: 1;
  width: number;
  height: number;
  /** Where the label map beside the journal came from; there is none for "empty". */
  base: Base;
  revision: number;
  /** Of the cells of a prediction, by id. */
  scores: Record<string, number | null>;
}

export type JournalEntry = { kind: "undo" | "redo" } | { kind: "edit"; delta: Delta };

/** Where the line of an edit is in the file. */
export interface Place {
  offset: number;
  length: number;
}

type Line = { kind: "undo" | "redo" } | { kind: "edit"; runs: string; notes: [number, PackedNote | null, PackedNote | null][] };
type PackedNote = [score: number | null, state: CellNote["state"]];

export class Journal {
  readonly head: JournalHead;
  readonly #path: string;
  readonly #file: FileHandle;
  #size: number;

  private constructor(path: string, head: JournalHead, file: FileHandle, size: number) {
    this.#path = path;
    this.head = head;
    this.#file = file;
    this.#size = size;
  }

  /** @throws CellsamError ERR_FILE when it cannot be written */
  static async create(path: string, head: JournalHead): Promise<Journal> {
    const line = `${strictJson(head, 0)}\n`;
    await writeAtomic(path, line);
    return new Journal(path, head, await open(path, "r+"), Buffer.byteLength(line));
  }

  /**
   * Opens the journal, and hands its entries to `entry` in their order. A last line that was not written to its end is cut off.
   * @throws CellsamError ERR_FILE when a line before it is damaged
   */
  static async open(path: string, entry: (entry: JournalEntry, place: Place, head: JournalHead) => void): Promise<Journal> {
    const file = await open(path, "r+");
    try {
      let head: JournalHead | undefined;
      let size = 0;
      for await (const { text, place } of linesOf(file)) {
        if (head) entry(entryOf(parsed(path, text)), place, head);
        else head = headOf(path, text);
        size = place.offset + place.length;
      }
      if (!head) throw damaged(path, "it has no first line");
      await file.truncate(size);
      return new Journal(path, head, file, size);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Writes an entry to the disk. After an error the file is as it was.
   * @throws CellsamError ERR_FILE, such as for a full disk
   */
  async append(entry: JournalEntry): Promise<Place> {
    const line = Buffer.from(`${JSON.stringify(lineOf(entry))}\n`);
    const place = { offset: this.#size, length: line.length };
    try {
      for (let done = 0; done < line.length; )
        done += (await this.#file.write(line, done, line.length - done, this.#size + done)).bytesWritten;
      await this.#file.datasync();
    } catch (cause) {
      await this.#file.truncate(this.#size).catch(() => undefined);
      const message = `${this.#path}: the edit could not be written (${(cause as Error).message}); it was taken back`;
      throw new CellsamError("ERR_FILE", message, { cause, detail: { path: this.#path } });
    }
    this.#size += line.length;
    return place;
  }

  /** The edit at a place. */
  async read({ offset, length }: Place): Promise<Delta> {
    const buffer = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#file.read(buffer, done, length - done, offset + done);
      if (bytesRead === 0) throw damaged(this.#path, "its end is missing");
      done += bytesRead;
    }
    const entry = entryOf(parsed(this.#path, buffer.toString()));
    if (entry.kind !== "edit") throw damaged(this.#path, "an edit is not where it was written");
    return entry.delta;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** The whole lines of a file, each with its place, from which the newline is not left out. */
async function* linesOf(file: FileHandle): AsyncGenerator<{ text: string; place: Place }> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 })) {
    let bytes: Buffer = rest.length > 0 ? Buffer.concat([rest, chunk as Buffer]) : (chunk as Buffer);
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      yield { text: bytes.toString("utf8", 0, end), place: { offset, length: end + 1 } };
      offset += end + 1;
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes;
  }
}

function lineOf(entry: JournalEntry): Line {
  if (entry.kind !== "edit") return entry;
  const packed = (note: CellNote | null): PackedNote | null => note && [note.score, note.state];
  const notes = entry.delta.notes.map(({ id, before, after }): [number, PackedNote | null, PackedNote | null] => [
    id,
    packed(before),
    packed(after),
  ]);
  return { kind: "edit", runs: packRuns(entry.delta.runs), notes };
}

function entryOf(line: Line): JournalEntry {
  if (line.kind !== "edit") return line;
  const note = (packed: PackedNote | null): CellNote | null => packed && { score: packed[0], state: packed[1] };
  const notes = line.notes.map(([id, before, after]) => ({ id, before: note(before), after: note(after) }));
  return { kind: "edit", delta: { runs: unpackRuns(line.runs), notes } };
}

function headOf(path: string, text: string): JournalHead {
  const head = parsed<JournalHead>(path, text);
  if (head.format !== 1) throw damaged(path, "its first line is that of another version");
  return head;
}

function parsed<Value = Line>(path: string, text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch (cause) {
    throw damaged(path, `a line is no JSON (${(cause as Error).message})`);
  }
}

function damaged(path: string, what: string): CellsamError {
  const advice = "restore it from a copy, or move it away to begin this image anew";
  return new CellsamError("ERR_FILE", `${path} is damaged: ${what}; ${advice}`, { detail: { path } });
}
