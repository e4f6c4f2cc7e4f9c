/**
 * The labels of one image while it is edited: the map, its journal, and the edits that can be undone. Edits of one image are
 * made one after the other; each names the revision that its author saw.
 */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { CellsamError } from "../errors.js";
import type { Bounds, Cell, Edit, EditAnswer } from "./api.js";
import { applyDelta, boundsOf, cellsOf, type Delta } from "./delta.js";
import { type LabelEdit, makeEdit, type Replacement } from "./edits.js";
import { type Base, Journal, type Place } from "./journal.js";
import { readLabelFile, writeLabelFile } from "./labelFile.js";
import { type CellNote, LabelMap } from "./labelMap.js";

/** The files of an image's labels. */
export interface LabelFiles {
  /** What the journal begins with. */
  base: string;
  journal: string;
  /** The labels as they are now, of an image that is not done, and of one that is. */
  draft: string;
  correction: string;
}

/** What the labels of an image are before the first edit. */
export interface Start {
  base: Base;
  /** [H,W], handed over; null for "empty". */
  labels: Int32Array | null;
  /** Of the cells of a prediction, by id. */
  scores: ReadonlyMap<number, number | null>;
  /** Whether the file `base` holds the labels already. */
  saved: boolean;
}

interface Size {
  width: number;
  height: number;
}

export class ImageLabels {
  readonly #files: LabelFiles;
  #map: LabelMap;
  #start: Omit<Start, "labels">;
  #revision: number;
  /** null until the first edit. */
  #journal: Journal | null;
  readonly #undo: Place[] = [];
  readonly #redo: Place[] = [];
  /** The end of the edit that was begun last. */
  #last: Promise<unknown> = Promise.resolve();
  /** The revision that the label file has. */
  #saved = -1;
  #waiting = 0;

  private constructor(files: LabelFiles, start: Start, map: LabelMap, journal: Journal | null) {
    this.#files = files;
    this.#start = withoutLabels(start);
    this.#map = map;
    this.#journal = journal;
    this.#revision = journal?.head.revision ?? 0;
  }

  /**
   * Opens the labels as the journal has them, or without one as `start` says.
   * @throws CellsamError ERR_FILE for a journal that is damaged or of an image of another size, and what `start` throws
   */
  static async open(files: LabelFiles, size: Size, start: () => Promise<Start>): Promise<ImageLabels> {
    if (!existsSync(files.journal)) {
      const own = await start();
      return new ImageLabels(files, own, mapOf(own, size), null);
    }
    const entries: { kind: "undo" | "redo" | "edit"; delta?: Delta; place: Place }[] = [];
    const journal = await Journal.open(files.journal, (entry, place) => entries.push({ ...entry, place }));
    try {
      const labels = await readBase(files, journal, size);
      const scores = Object.entries(journal.head.scores).map(([id, score]): [number, number | null] => [Number(id), score]);
      const own: Start = { base: journal.head.base, labels, scores: new Map(scores), saved: true };
      const opened = new ImageLabels(files, own, mapOf(own, size), journal);
      for (const entry of entries) await opened.#replay(entry);
      return opened;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  async #replay({ kind, delta, place }: { kind: "undo" | "redo" | "edit"; delta?: Delta; place: Place }): Promise<void> {
    if (delta) {
      applyDelta(this.#map, delta, "forward");
      this.#undo.push(place);
      this.#redo.length = 0;
    } else await this.#move(kind as "undo" | "redo");
    this.#revision++;
  }

  get revision(): number {
    return this.#revision;
  }

  get edited(): boolean {
    return this.#journal !== null;
  }

  get done(): boolean {
    return existsSync(this.#files.correction);
  }

  get depth(): { undo: number; redo: number } {
    return { undo: this.#undo.length, redo: this.#redo.length };
  }

  get map(): LabelMap {
    return this.#map;
  }

  /** Whether something is being changed or is not in the label file yet. */
  get busy(): boolean {
    return this.#waiting > 0 || (this.edited && this.#saved !== this.#revision);
  }

  /**
   * Makes an edit and writes it to the journal.
   * @throws CellsamError ERR_CONFLICT when `revision` is not the present one, ERR_INVALID_ARGUMENT, ERR_FILE; nothing is
   * changed then
   */
  edit(revision: number, edit: Edit, replacement?: () => Promise<Replacement>): Promise<EditAnswer> {
    return this.#inTurn(async () => {
      const taken = replacement ? await replacement() : undefined;
      if (revision !== this.#revision) throw conflict(this.#revision);
      if (edit.kind === "undo" || edit.kind === "redo") return this.#step(edit.kind);
      return this.#make(edit, taken);
    });
  }

  async #make(edit: LabelEdit, replacement: Replacement | undefined): Promise<EditAnswer> {
    const journal = await this.#begin();
    const delta = makeEdit(this.#map, edit, replacement);
    if (delta.runs.length === 0 && delta.notes.length === 0) return this.#answer(delta);
    this.#undo.push(
      await journal.append({ kind: "edit", delta }).catch((error: unknown) => {
        applyDelta(this.#map, delta, "back");
        throw error;
      }),
    );
    this.#redo.length = 0;
    this.#revision++;
    return this.#answer(delta);
  }

  /** Undoes the last edit, or does it again. */
  async #step(kind: "undo" | "redo"): Promise<EditAnswer> {
    if ((kind === "undo" ? this.#undo : this.#redo).length === 0)
      throw new CellsamError("ERR_INVALID_ARGUMENT", `there is nothing to ${kind}`);
    await this.#journal?.append({ kind });
    const delta = await this.#move(kind);
    this.#revision++;
    return this.#answer(delta);
  }

  async #move(kind: "undo" | "redo"): Promise<Delta> {
    const [from, to] = kind === "undo" ? [this.#undo, this.#redo] : [this.#redo, this.#undo];
    const place = from.at(-1);
    if (!place || !this.#journal) throw new CellsamError("ERR_FILE", `${this.#files.journal} is damaged: an ${kind} too many`);
    const delta = await this.#journal.read(place);
    applyDelta(this.#map, delta, kind === "undo" ? "back" : "forward");
    from.pop();
    to.push(place);
    return delta;
  }

  #answer(delta: Delta): EditAnswer {
    const cells: Cell[] = [];
    const removed: number[] = [];
    for (const id of cellsOf(delta)) {
      const cell = this.#map.cell(id);
      if (cell) cells.push(cell);
      else removed.push(id);
    }
    const bounds: Bounds | null = boundsOf(delta, this.#map.width);
    return { revision: this.#revision, bounds, cells, removed, ...this.depth };
  }

  /** The journal, which begins with what the labels are now. */
  async #begin(): Promise<Journal> {
    if (this.#journal) return this.#journal;
    const { base, scores, saved } = this.#start;
    const { width, height, data } = this.#map;
    if (base !== "empty" && !saved) await writeLabelFile(this.#files.base, { data, width, height });
    const head = { format: 1, width, height, base, revision: this.#revision, scores: Object.fromEntries(scores) } as const;
    this.#journal = await Journal.create(this.#files.journal, head);
    return this.#journal;
  }

  /** Takes other labels to begin with, unless they have been edited; returns whether. */
  restart(load: () => Promise<Start>): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#journal) return false;
      const start = await load();
      this.#map = mapOf(start, this.#map);
      this.#start = withoutLabels(start);
      this.#revision++;
      return true;
    });
  }

  /** Marks the labels as done, so that they are a correction, or takes that back. @throws CellsamError ERR_FILE */
  async setDone(done: boolean): Promise<void> {
    await this.#inTurn(async () => {
      await this.#begin();
      await this.#write(done ? this.#files.correction : this.#files.draft);
      await rm(done ? this.#files.draft : this.#files.correction, { force: true });
    });
  }

  /**
   * Writes the labels as a label map with ids from 1, if they were edited and it is not there yet. Edits go on meanwhile; one
   * of them makes the file out of date, which is then not written, and false is returned.
   */
  async save(): Promise<boolean> {
    if (!this.edited || this.#saved === this.#revision) return true;
    return this.#write(this.done ? this.#files.correction : this.#files.draft);
  }

  async #write(path: string): Promise<boolean> {
    const revision = this.#revision;
    const { width, height, data } = this.#map;
    const ids = [...this.#map.ids()].sort((a, b) => a - b);
    const rank = new Map(ids.map((id, i) => [id, i + 1]));
    const whole = await writeLabelFile(path, { data, width, height, rank }, () => this.#revision === revision);
    if (whole) this.#saved = revision;
    return whole;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#journal?.close();
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#waiting++;
    const turn = this.#last.then(work).finally(() => this.#waiting--);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

async function readBase(files: LabelFiles, { head }: Journal, { width, height }: Size): Promise<Int32Array | null> {
  if (head.width !== width || head.height !== height) {
    const message = `${files.journal} is of an image of ${head.width} x ${head.height} pixels, this one has ${width} x ${height}; move the file away, or restore the image`;
    throw new CellsamError("ERR_FILE", message, { detail: { path: files.journal } });
  }
  return head.base === "empty" ? null : readLabelFile(files.base, { width, height });
}

/** The map has the labels: a large image must not be in memory twice. */
function withoutLabels({ base, scores, saved }: Start): Omit<Start, "labels"> {
  return { base, scores, saved };
}

function mapOf({ base, labels, scores }: Start, { width, height }: Size): LabelMap {
  const state = base === "own" ? "own" : "predicted";
  const note = (id: number): CellNote => ({ score: scores.get(id) ?? null, state });
  return new LabelMap(labels ?? new Int32Array(width * height), height, width, note);
}

function conflict(revision: number): CellsamError {
  const message = "the labels of this image were changed elsewhere meanwhile: load them again, then repeat the edit";
  return new CellsamError("ERR_CONFLICT", message, { detail: { revision } });
}
