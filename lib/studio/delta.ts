/**
 * What an edit changes: runs of pixels with their ids before and after it, and what is known of cells. It can be applied, taken
 * back, and written down.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Bounds } from "./api.js";
import type { CellNote, LabelMap } from "./labelMap.js";

export interface Delta {
  /** First pixel, length, id before, id after; of one row each. */
  runs: number[];
  /** Cells that come, go, or become something else. */
  notes: { id: number; before: CellNote | null; after: CellNote | null }[];
}

/** An edit in the making: it changes the map at once, and remembers what was there. */
export class Change {
  readonly #map: LabelMap;
  readonly #runs: number[] = [];
  /** What was known of every cell that the edit touches, before it. */
  readonly #before = new Map<number, CellNote | null>();

  constructor(map: LabelMap) {
    this.#map = map;
  }

  /** Makes pixels x0 to x1 (excluded) of row y pixels of `to`, where `may` allows it for the id that they have. */
  setRun(y: number, x0: number, x1: number, to: number, may: (id: number) => boolean = () => true): void {
    const { data, width } = this.#map;
    const last = y * width + x1;
    for (let at = y * width + x0; at < last; ) {
      const from = data[at] as number;
      let end = at + 1;
      while (end < last && data[end] === from) end++;
      if (from !== to && may(from)) this.#write(at, end - at, from, to);
      at = end;
    }
  }

  #write(start: number, length: number, from: number, to: number): void {
    this.#touch(from);
    this.#touch(to);
    this.#runs.push(start, length, from, to);
    this.#map.write(start, length, from, to);
  }

  #touch(id: number): void {
    if (id > 0 && !this.#before.has(id)) this.#before.set(id, this.#map.note(id));
  }

  /** Whether any pixel has changed. */
  get changed(): boolean {
    return this.#runs.length > 0;
  }

  setNote(id: number, note: CellNote): void {
    this.#touch(id);
    this.#map.setNote(id, note);
  }

  finish(): Delta {
    this.#map.settle();
    const notes = [...this.#before].map(([id, before]) => ({ id, before, after: this.#map.note(id) }));
    return { runs: this.#runs, notes: notes.filter(({ before, after }) => !sameNote(before, after)) };
  }
}

function sameNote(a: CellNote | null, b: CellNote | null): boolean {
  return a?.score === b?.score && a?.state === b?.state;
}

/** Makes the change again, or takes it back. */
export function applyDelta(map: LabelMap, { runs, notes }: Delta, direction: "forward" | "back"): void {
  const forward = direction === "forward";
  const step = forward ? 4 : -4;
  for (let i = forward ? 0 : runs.length - 4; i >= 0 && i < runs.length; i += step) {
    const [start, length, before, after] = runs.slice(i, i + 4) as [number, number, number, number];
    if (forward) map.write(start, length, before, after);
    else map.write(start, length, after, before);
  }
  map.settle();
  for (const { id, before, after } of notes) {
    const note = forward ? after : before;
    if (note) map.setNote(id, note);
  }
}

/** Of the pixels that change; null where none does. */
export function boundsOf({ runs }: Delta, width: number): Bounds | null {
  if (runs.length === 0) return null;
  let [x0, y0, x1, y1] = [width, Number.POSITIVE_INFINITY, 0, 0];
  for (let i = 0; i < runs.length; i += 4) {
    const start = runs[i] as number;
    const y = Math.floor(start / width);
    const x = start - y * width;
    x0 = Math.min(x0, x);
    x1 = Math.max(x1, x + (runs[i + 1] as number));
    y0 = Math.min(y0, y);
    y1 = Math.max(y1, y + 1);
  }
  return [x0, y0, x1, y1];
}

/** The ids of all cells that the change has to do with. */
export function cellsOf({ runs, notes }: Delta): Set<number> {
  const ids = new Set(notes.map(({ id }) => id));
  for (let i = 2; i < runs.length; i += 4) {
    ids.add(runs[i] as number);
    ids.add(runs[i + 1] as number);
  }
  ids.delete(0);
  return ids;
}

/**
 * The runs as text: each number as 7 bits a byte, a start as its distance to the end of the run before; deflated, in base64.
 */
export function packRuns(runs: readonly number[]): string {
  const bytes: number[] = [];
  const put = (value: number) => {
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    bytes.push(rest);
  };
  let end = 0;
  for (let i = 0; i < runs.length; i += 4) {
    const [start, length, before, after] = runs.slice(i, i + 4) as [number, number, number, number];
    const way = start - end;
    put(way < 0 ? -2 * way - 1 : 2 * way);
    put(length);
    put(before);
    put(after);
    end = start + length;
  }
  return deflateRawSync(Uint8Array.from(bytes), { level: 1 }).toString("base64");
}

/** The runs of a text of `packRuns`. */
export function unpackRuns(text: string): number[] {
  const bytes = inflateRawSync(Buffer.from(text, "base64"));
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte % 128) * scale;
    scale *= 128;
    if (byte > 127) continue;
    numbers.push(value);
    value = 0;
    scale = 1;
  }
  let end = 0;
  for (let i = 0; i < numbers.length; i += 4) {
    const way = numbers[i] as number;
    numbers[i] = end + (way % 2 === 1 ? -(way + 1) / 2 : way / 2);
    end = (numbers[i] as number) + (numbers[i + 1] as number);
  }
  return numbers;
}
