/** Colours of cells: a cell keeps its own while it lives, and those near it have others where the colours suffice. */
import type { Bounds, Cell } from "../../api.js";

/** Seen on dark and on pale images, no two alike. */
export const colours = [
  "#ffd23f",
  "#3fc1ff",
  "#ff5fb0",
  "#5ee06b",
  "#ff7a45",
  "#9d8bff",
  "#21d9c3",
  "#ff5a5a",
  "#b8e04a",
  "#d98bff",
] as const;

/** Cells with fewer pixels between their bounds are neighbours. */
const GAP = 4;
/** Side of the squares in which neighbours are looked for. */
const SQUARE = 64;

type Placed = Pick<Cell, "id" | "bounds">;

/** The colour that a cell without known neighbours has. */
export function colourOfId(id: number): number {
  return (id * 7) % colours.length;
}

export class CellColours {
  readonly #chosen = new Map<number, number>();
  readonly #bounds = new Map<number, Bounds>();
  readonly #squares = new Map<string, Set<number>>();

  /** An index into `colours`. */
  of(id: number): number {
    return this.#chosen.get(id) ?? colourOfId(id);
  }

  /** Places cells that are new or have changed; those that have a colour keep it. */
  place(cells: readonly Placed[]): void {
    for (const { id, bounds } of cells) {
      this.#take(id);
      this.#bounds.set(id, bounds);
      for (const square of squaresOf(bounds)) {
        const inside = this.#squares.get(square) ?? new Set();
        this.#squares.set(square, inside.add(id));
      }
      if (!this.#chosen.has(id)) this.#chosen.set(id, this.#free(id, bounds));
    }
  }

  remove(ids: readonly number[]): void {
    for (const id of ids) {
      this.#take(id);
      this.#chosen.delete(id);
    }
  }

  #take(id: number): void {
    const bounds = this.#bounds.get(id);
    if (bounds) for (const square of squaresOf(bounds)) this.#squares.get(square)?.delete(id);
    this.#bounds.delete(id);
  }

  /** The colour that the fewest neighbours have; of equal ones the first after that of the id. */
  #free(id: number, bounds: Bounds): number {
    const used = colours.map(() => 0);
    for (const other of this.#near(id, bounds)) {
      const colour = this.#chosen.get(other);
      if (colour !== undefined) used[colour] = (used[colour] ?? 0) + 1;
    }
    const order = colours.map((_, i) => (colourOfId(id) + i) % colours.length);
    return order.reduce((best, colour) => ((used[colour] ?? 0) < (used[best] ?? 0) ? colour : best));
  }

  #near(id: number, bounds: Bounds): Set<number> {
    const found = new Set<number>();
    for (const square of squaresOf(bounds)) {
      for (const other of this.#squares.get(square) ?? []) {
        const there = this.#bounds.get(other);
        if (other !== id && there && apart(bounds, there) < GAP) found.add(other);
      }
    }
    return found;
  }
}

/** Squares that the bounds, with the gap around them, touch. */
function* squaresOf([x0, y0, x1, y1]: Bounds): Generator<string> {
  const square = (value: number) => Math.floor(value / SQUARE);
  for (let y = square(y0 - GAP); y <= square(y1 + GAP); y++) {
    for (let x = square(x0 - GAP); x <= square(x1 + GAP); x++) yield `${x},${y}`;
  }
}

/** Pixels between two bounds, along the axis on which they are further apart. */
function apart(a: Bounds, b: Bounds): number {
  return Math.max(0, a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3]);
}
