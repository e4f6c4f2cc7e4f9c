/**
 * Counts the separate regions of every id of a label map, in one pass over runs of equal ids, so that a map of 10 000 x 10 000
 * pixels takes less time than its decoding.
 *
 * Two parts of an id count as one region when at most one pixel lies between them, also diagonally: a scribble of one pixel
 * across a cell, or a corner at which two parts touch, must not be reported as two cells. Where regions become cells (labels.ts),
 * pixels must share an edge, as for binary masks.
 */

/** Largest distance of columns and rows of two pixels of one region. */
const REACH = 2;
/** A map of more runs is no label map; its regions are not counted. */
const MOST_RUNS = 2 ** 25;

/** All pixels of one id. */
export interface IdRegions {
  area: number;
  regions: number;
  /** Pixels of its largest and of its second largest region; 0 where there is one. */
  largest: number;
  second: number;
  /** Borders of the image that it touches: 1 left, 2 right, 4 top, 8 bottom, added. */
  borders: number;
}

/** Grows as runs are found. */
class Runs {
  count = 0;
  parent = new Int32Array(4096);
  id = new Int32Array(4096);
  area = new Int32Array(4096);
  borders = new Uint8Array(4096);

  add(id: number, area: number, borders: number): number {
    const at = this.count++;
    if (at === this.parent.length) {
      const longer = <T extends Int32Array | Uint8Array>(from: T, to: T): T => {
        to.set(from);
        return to;
      };
      this.parent = longer(this.parent, new Int32Array(2 * at));
      this.id = longer(this.id, new Int32Array(2 * at));
      this.area = longer(this.area, new Int32Array(2 * at));
      this.borders = longer(this.borders, new Uint8Array(2 * at));
    }
    this.parent[at] = at;
    this.id[at] = id;
    this.area[at] = area;
    this.borders[at] = borders;
    return at;
  }

  root(run: number): number {
    const { parent } = this;
    let at = run;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at] as number] as number;
      at = parent[at] as number;
    }
    return at;
  }

  join(a: number, b: number): void {
    const [p, q] = [this.root(a), this.root(b)];
    if (p !== q) this.parent[Math.max(p, q)] = Math.min(p, q);
  }
}

/** The runs of one row: first and last column, and their number among all. */
interface Row {
  first: number[];
  last: number[];
  run: number[];
}

/** By id above 0; null for a map of too many runs. */
export function idRegions(ids: Int32Array, height: number, width: number): Map<number, IdRegions> | null {
  const runs = new Runs();
  const above: Row[] = Array.from({ length: REACH + 1 }, () => ({ first: [], last: [], run: [] }));
  for (let y = 0; y < height; y++) {
    const row = above.pop() as Row;
    row.first.length = row.last.length = row.run.length = 0;
    const end = (y + 1) * width;
    const edges = (y === 0 ? 4 : 0) + (y === height - 1 ? 8 : 0);
    for (let i = y * width; i < end; ) {
      const id = ids[i] as number;
      const start = i;
      i++;
      while (i + 3 < end && ids[i] === id && ids[i + 1] === id && ids[i + 2] === id && ids[i + 3] === id) i += 4;
      while (i < end && ids[i] === id) i++;
      if (id <= 0) continue;
      const first = start - y * width;
      const last = i - 1 - y * width;
      const run = runs.add(id, i - start, edges + (first === 0 ? 1 : 0) + (last === width - 1 ? 2 : 0));
      // The run before the previous one may have the same id, with one pixel of another between.
      for (let k = row.run.length - 1; k >= 0 && first - (row.last[k] as number) <= REACH; k--)
        if (runs.id[row.run[k] as number] === id) runs.join(row.run[k] as number, run);
      row.first.push(first);
      row.last.push(last);
      row.run.push(run);
    }
    if (runs.count > MOST_RUNS) return null;
    for (const other of above) joinRows(runs, row, other);
    above.unshift(row);
  }
  return byId(runs);
}

function joinRows(runs: Runs, row: Row, above: Row): void {
  let from = 0;
  for (let k = 0; k < row.run.length; k++) {
    const left = (row.first[k] as number) - REACH;
    const right = (row.last[k] as number) + REACH;
    const id = runs.id[row.run[k] as number];
    while (from < above.run.length && (above.last[from] as number) < left) from++;
    for (let j = from; j < above.run.length && (above.first[j] as number) <= right; j++)
      if (runs.id[above.run[j] as number] === id) runs.join(above.run[j] as number, row.run[k] as number);
  }
}

function byId(runs: Runs): Map<number, IdRegions> {
  // A root is the first run of its region, so the others are added to it.
  for (let i = runs.count - 1; i >= 0; i--) {
    const root = runs.root(i);
    if (root === i) continue;
    runs.area[root] = (runs.area[root] as number) + (runs.area[i] as number);
    runs.borders[root] = (runs.borders[root] as number) | (runs.borders[i] as number);
  }
  const found = new Map<number, IdRegions>();
  for (let i = 0; i < runs.count; i++) {
    if (runs.parent[i] !== i) continue;
    const id = runs.id[i] as number;
    const area = runs.area[i] as number;
    const entry = found.get(id) ?? { area: 0, regions: 0, largest: 0, second: 0, borders: 0 };
    entry.area += area;
    entry.regions++;
    entry.borders |= runs.borders[i] as number;
    if (area > entry.largest) [entry.largest, entry.second] = [area, entry.largest];
    else entry.second = Math.max(entry.second, area);
    found.set(id, entry);
  }
  return found;
}
