/**
 * Rasterises outlines. A pixel belongs to a shape when its centre lies inside. Corners of pixels are at whole numbers, as in
 * GeoJSON and COCO, so the centre of pixel (row r, column c) is x = c + 0.5, y = r + 0.5. A centre on an edge belongs to the
 * side right of or below it.
 */
import { annotation } from "./formats/limits.js";
import type { Outline, Polygon } from "./objects.js";

export type Run = (row: number, from: number, to: number) => void;

/** Fills a polygon [x right, y down] in an image of height x width. Calls `run(row, from, to)` with columns from..to-1. */
export function fillPolygon(
  polygon: Polygon,
  [height, width]: readonly [number, number],
  run: Run,
  spend: (steps: number) => void = () => undefined,
): void {
  const [top, bottom] = rowsOf(polygon, height);
  if (top >= bottom) return;
  // The x at which edges cross the centre line of each row, row after row: counted first, then filled in.
  const ends = new Int32Array(bottom - top + 1);
  eachEdge(polygon, top, bottom, (_x0, _y0, _slope, first, last) => {
    spend(last - first);
    for (let row = first; row < last; row++) ends[row - top + 1] = (ends[row - top + 1] as number) + 1;
  });
  for (let i = 1; i < ends.length; i++) ends[i] = (ends[i] as number) + (ends[i - 1] as number);
  const xs = new Float64Array(ends[ends.length - 1] as number);
  const next = ends.slice();
  eachEdge(polygon, top, bottom, (x0, y0, slope, first, last) => {
    for (let row = first; row < last; row++) {
      const at = next[row - top] as number;
      xs[at] = x0 + (row + 0.5 - y0) * slope;
      next[row - top] = at + 1;
    }
  });
  for (let row = top; row < bottom; row++) {
    const [start, end] = [ends[row - top] as number, ends[row - top + 1] as number];
    sortRow(xs, start, end);
    for (let i = start; i + 1 < end; i += 2) {
      const from = Math.max(0, Math.ceil((xs[i] as number) - 0.5));
      const to = Math.min(width, Math.ceil((xs[i + 1] as number) - 0.5));
      if (from < to) run(row, from, to);
    }
  }
}

/** Sorts a part of an array; most rows cross two edges, for which a view and a general sort take too long. */
function sortRow(xs: Float64Array, start: number, end: number): void {
  if (end - start > 32) {
    xs.subarray(start, end).sort();
    return;
  }
  for (let i = start + 1; i < end; i++) {
    const x = xs[i] as number;
    let at = i;
    for (; at > start && (xs[at - 1] as number) > x; at--) xs[at] = xs[at - 1] as number;
    xs[at] = x;
  }
}

/** Calls `edge` for each edge that crosses the centre line of a row, from `first` to `last` - 1; y0 is its upper end. */
function eachEdge(
  polygon: Polygon,
  top: number,
  bottom: number,
  edge: (x0: number, y0: number, slope: number, first: number, last: number) => void,
): void {
  for (const ring of polygon) {
    const points = Math.floor(ring.length / 2);
    for (let i = 0; i < points; i++) {
      const j = i + 1 < points ? i + 1 : 0;
      let x0 = ring[2 * i] as number;
      let y0 = ring[2 * i + 1] as number;
      let x1 = ring[2 * j] as number;
      let y1 = ring[2 * j + 1] as number;
      if (y0 === y1) continue;
      if (y0 > y1) [x0, y0, x1, y1] = [x1, y1, x0, y0];
      const first = Math.max(top, Math.ceil(y0 - 0.5));
      const last = Math.min(bottom, Math.ceil(y1 - 0.5));
      if (first < last) edge(x0, y0, (x1 - x0) / (y1 - y0), first, last);
    }
  }
}

/** The first row of pixels that a polygon can fill, and the one after the last. */
function rowsOf(polygon: Polygon, height: number): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const ring of polygon) {
    for (let i = 1; i < ring.length; i += 2) {
      const y = ring[i] as number;
      if (y < low) low = y;
      if (y > high) high = y;
    }
  }
  return low > high ? [0, 0] : [Math.max(0, Math.ceil(low - 0.5)), Math.min(height, Math.ceil(high - 0.5))];
}

/** Steps of filling that the objects of one image may take together: 100 000 cells of 60 rows and points take 18 million. */
const MOST_STEPS = 25e6;
/** Those of one polygon, whose crossings are in memory at once. */
const MOST_STEPS_OF_ONE = 8e6;

/**
 * Returns a function that turns outlines into their rows of pixels inside an image of `size`: [row, from, to, ...], sorted, no
 * pixel twice.
 *
 * @throws CellsamError ERR_ANNOTATION when the outlines of one image take more than MOST_STEPS steps
 */
export function rasterizer(size: readonly [number, number]): (outline: Outline) => Int32Array {
  let steps = 0;
  let own = 0;
  const spend = (more: number) => {
    steps += more;
    own += more;
    if (steps > MOST_STEPS || own > MOST_STEPS_OF_ONE)
      throw annotation(
        `its outlines have too many points and rows: more than ${MOST_STEPS_OF_ONE} of one, or ${MOST_STEPS} of all`,
      );
  };
  return (outline) => {
    if ("rows" in outline) {
      own = 0;
      spend(outline.rows.length / 3);
      return clipped(outline.rows, size);
    }
    const rows: number[] = [];
    for (const polygon of outline.polygons) {
      own = 0;
      spend(polygon.reduce((sum, ring) => sum + ring.length, 0));
      fillPolygon(polygon, size, (row, from, to) => void rows.push(row, from, to), spend);
    }
    return outline.polygons.length > 1 ? unionOf(rows) : Int32Array.from(rows);
  };
}

/** Rows inside the image. */
function clipped(rows: Int32Array, [height, width]: readonly [number, number]): Int32Array {
  const out: number[] = [];
  eachRow(rows, (row, from, to) => {
    const [first, last] = [Math.max(0, from), Math.min(width, to)];
    if (row >= 0 && row < height && first < last) out.push(row, first, last);
  });
  return out.length === rows.length ? rows : Int32Array.from(out);
}

/** Rows in any order, overlapping or not, as sorted rows of which none touch. */
export function unionOf(rows: ArrayLike<number>): Int32Array {
  const order = Array.from({ length: rows.length / 3 }, (_, i) => 3 * i);
  const at = (i: number) => rows[i] as number;
  order.sort((a, b) => at(a) - at(b) || at(a + 1) - at(b + 1));
  const out: number[] = [];
  for (const i of order) {
    const last = out.length - 3;
    if (last >= 0 && out[last] === at(i) && (out[last + 2] as number) >= at(i + 1))
      out[last + 2] = Math.max(out[last + 2] as number, at(i + 2));
    else out.push(at(i), at(i + 1), at(i + 2));
  }
  return Int32Array.from(out);
}

/** The rows of the pixels of a map [height, width] that are not 0. */
export function rowsOfMap(data: ArrayLike<number>, [height, width]: readonly [number, number]): Int32Array {
  const rows: number[] = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (!data[row * width + column]) continue;
      const from = column;
      while (column < width && data[row * width + column]) column++;
      rows.push(row, from, column);
    }
  }
  return Int32Array.from(rows);
}

/** Calls `run` for each of the rows. */
export function eachRow(rows: Int32Array, run: Run): void {
  for (let i = 0; i < rows.length; i += 3) run(rows[i] as number, rows[i + 1] as number, rows[i + 2] as number);
}

export function areaOf(rows: Int32Array): number {
  let area = 0;
  for (let i = 0; i < rows.length; i += 3) area += (rows[i + 2] as number) - (rows[i + 1] as number);
  return area;
}

/** How many pixels two areas share. Both are sorted; rows of `a` before the first of `b` are skipped. */
export function sharedArea(a: Int32Array, b: Int32Array): number {
  if (b.length === 0) return 0;
  let shared = 0;
  for (let i = firstFrom(a, b[0] as number), j = 0; i < a.length && j < b.length; ) {
    const [rowA, rowB] = [a[i] as number, b[j] as number];
    const [endA, endB] = [a[i + 2] as number, b[j + 2] as number];
    if (rowA === rowB) {
      const overlap = Math.min(endA, endB) - Math.max(a[i + 1] as number, b[j + 1] as number);
      if (overlap > 0) shared += overlap;
    }
    if (rowA < rowB || (rowA === rowB && endA < endB)) i += 3;
    else j += 3;
  }
  return shared;
}

/** Where the rows from `row` on start. */
function firstFrom(rows: Int32Array, row: number): number {
  let [low, high] = [0, rows.length / 3];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rows[3 * middle] as number) < row) low = middle + 1;
    else high = middle;
  }
  return 3 * low;
}
