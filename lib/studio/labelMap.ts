/**
 * A label map that is edited: the id of each pixel, and a table of its cells that follows every change of a run of pixels. What
 * a change costs depends on the pixels that it touches and on the sizes of the cells that lose pixels, not on the image.
 */
import type { Bounds, Cell } from "./api.js";

export type CellState = Cell["state"];

/** What is known of a cell besides its pixels. */
export interface CellNote {
  score: number | null;
  state: CellState;
}

interface CellRecord extends CellNote {
  id: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  area: number;
  /** Sums over the centres of its pixels. */
  sumX: number;
  sumY: number;
}

export class LabelMap {
  readonly width: number;
  readonly height: number;
  /** Ids [H,W], 0 is background. To be changed by `write` alone. */
  readonly data: Int32Array;
  readonly #cells = new Map<number, CellRecord>();
  /** Cells that lost pixels at the edge of their bounds since `settle`. */
  readonly #loose = new Set<CellRecord>();
  #highest = 0;

  /** Negative ids, which are regions to ignore, become background. `note` says what is known of each cell. */
  constructor(data: Int32Array, height: number, width: number, note: (id: number) => CellNote) {
    this.width = width;
    this.height = height;
    this.data = data;
    for (let start = 0; start < data.length; start += width) this.#countRow(start, note);
  }

  #countRow(start: number, note: (id: number) => CellNote): void {
    const { data, width } = this;
    for (let at = start; at < start + width; ) {
      const id = data[at] as number;
      let end = at + 1;
      while (end < start + width && data[end] === id) end++;
      if (id < 0) data.fill(0, at, end);
      if (id > 0) this.#add(id, at, end - at, note);
      at = end;
    }
  }

  /** The highest id that any cell has or had. */
  get highest(): number {
    return this.#highest;
  }

  get count(): number {
    return this.#cells.size;
  }

  has(id: number): boolean {
    return this.#cells.has(id);
  }

  ids(): number[] {
    return [...this.#cells.keys()];
  }

  note(id: number): CellNote | null {
    const cell = this.#cells.get(id);
    return cell ? { score: cell.score, state: cell.state } : null;
  }

  setNote(id: number, note: CellNote): void {
    const cell = this.#cells.get(id);
    if (cell) Object.assign(cell, note);
  }

  /** null where there is no such cell. */
  cell(id: number): Cell | null {
    const cell = this.#cells.get(id);
    if (!cell) return null;
    const { area, score, state } = cell;
    const bounds: Bounds = [cell.x0, cell.y0, cell.x1, cell.y1];
    return { id, bounds, centre: [cell.sumX / area, cell.sumY / area], area, score, state };
  }

  /** By rising id. */
  cells(): Cell[] {
    return this.ids()
      .sort((a, b) => a - b)
      .map((id) => this.cell(id) as Cell);
  }

  /**
   * Makes `length` pixels of one row, which all have the id `from`, pixels of `to`. After the last of several, `settle` must be
   * called before cells are read.
   */
  write(start: number, length: number, from: number, to: number): void {
    this.data.fill(to, start, start + length);
    if (from > 0) this.#remove(from, start, length);
    if (to > 0) this.#add(to, start, length, () => ({ score: null, state: "drawn" }));
  }

  /** Gives cells that lost pixels their new bounds, and removes those without any. */
  settle(): void {
    for (const cell of this.#loose) {
      if (cell.area === 0) this.#cells.delete(cell.id);
      else this.#tighten(cell);
    }
    this.#loose.clear();
  }

  #add(id: number, start: number, length: number, note: (id: number) => CellNote): void {
    const y = Math.floor(start / this.width);
    const x0 = start - y * this.width;
    const x1 = x0 + length;
    let cell = this.#cells.get(id);
    if (!cell) {
      cell = { id, x0, y0: y, x1, y1: y + 1, area: 0, sumX: 0, sumY: 0, ...note(id) };
      this.#cells.set(id, cell);
      if (id > this.#highest) this.#highest = id;
    }
    cell.x0 = Math.min(cell.x0, x0);
    cell.x1 = Math.max(cell.x1, x1);
    cell.y0 = Math.min(cell.y0, y);
    cell.y1 = Math.max(cell.y1, y + 1);
    cell.area += length;
    cell.sumX += (length * (x0 + x1)) / 2;
    cell.sumY += length * (y + 0.5);
  }

  #remove(id: number, start: number, length: number): void {
    const cell = this.#cells.get(id) as CellRecord;
    const y = Math.floor(start / this.width);
    const x0 = start - y * this.width;
    const x1 = x0 + length;
    cell.area -= length;
    cell.sumX -= (length * (x0 + x1)) / 2;
    cell.sumY -= length * (y + 0.5);
    if (x0 === cell.x0 || x1 === cell.x1 || y === cell.y0 || y + 1 === cell.y1) this.#loose.add(cell);
  }

  /** Moves the bounds inwards to the cell's pixels. */
  #tighten(cell: CellRecord): void {
    const { id } = cell;
    const inRow = (y: number) => {
      const row = y * this.width;
      const at = this.data.subarray(row + cell.x0, row + cell.x1).indexOf(id);
      return at >= 0;
    };
    const inColumn = (x: number) => {
      for (let y = cell.y0; y < cell.y1; y++) if (this.data[y * this.width + x] === id) return true;
      return false;
    };
    while (!inRow(cell.y0)) cell.y0++;
    while (!inRow(cell.y1 - 1)) cell.y1--;
    while (!inColumn(cell.x0)) cell.x0++;
    while (!inColumn(cell.x1 - 1)) cell.x1--;
  }
}
