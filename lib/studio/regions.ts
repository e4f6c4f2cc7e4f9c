/** Parts and holes of one cell, in a small map of its own: 1 in the cell, 0 outside, with a border of zeros. */
import type { CellMask } from "../data/writers/segmentation.js";

/** Neighbours in a map of this width that share an edge, or an edge or a corner. */
const four = (width: number) => [-width, -1, 1, width];
const eight = (width: number) => [-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1];

/** Gives the number `part` to the pixel `start` and to all that are connected with it by pixels that `fits` accepts. */
function flood(
  parts: Int32Array,
  start: number,
  part: number,
  steps: readonly number[],
  fits: (at: number) => boolean,
): number {
  const stack = [start];
  parts[start] = part;
  let size = 0;
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    size++;
    for (const step of steps) {
      const next = at + step;
      if (next < 0 || next >= parts.length || parts[next] !== 0 || !fits(next)) continue;
      parts[next] = part;
      stack.push(next);
    }
  }
  return size;
}

/** The pixels of holes, as a map of ones. The outside is connected by edges, so a hole may have a corner in common with it. */
export function holesOf({ data, width }: CellMask): Uint8Array {
  const outside = new Int32Array(data.length);
  flood(outside, 0, 1, four(width), (at) => data[at] === 0);
  return Uint8Array.from(data, (value, at) => (value === 0 && outside[at] === 0 ? 1 : 0));
}

/**
 * The parts of a cell that pixels of `cut` divide: numbers from 1 by falling size, 0 outside the cell. Pixels of the cut go to
 * the part that is nearest in steps. A piece that the cut does not touch belongs to the first part, whether it is connected or
 * not.
 * @param cut ones; connected by edges, so that pixels that share a corner are no way through
 */
export function partsOf({ data, width }: CellMask, cut: Uint8Array): { parts: Int32Array; count: number } {
  const parts = new Int32Array(data.length);
  const sizes: { part: number; size: number; cut: boolean }[] = [];
  for (let at = 0; at < data.length; at++) {
    if (data[at] === 0 || cut[at] === 1 || parts[at] !== 0) continue;
    const part = sizes.length + 1;
    sizes.push({ part, size: flood(parts, at, part, eight(width), (next) => data[next] === 1 && cut[next] === 0), cut: false });
  }
  for (let at = 0; at < data.length; at++) {
    const piece = sizes[(parts[at] as number) - 1];
    if (piece && !piece.cut) piece.cut = eight(width).some((step) => cut[at + step] === 1 && data[at + step] === 1);
  }
  const order = sizes.filter((piece) => piece.cut).sort((a, b) => b.size - a.size);
  const renumbered = new Int32Array(sizes.length + 1);
  for (const { part } of sizes) renumbered[part] = 1;
  for (const [i, { part }] of order.entries()) renumbered[part] = i + 1;
  for (let at = 0; at < parts.length; at++) parts[at] = renumbered[parts[at] as number] as number;
  growInto(parts, data, width);
  return { parts, count: Math.max(1, order.length) };
}

/** Gives the pixels of the cell that have no part yet that of their nearest neighbour, or the first one. */
function growInto(parts: Int32Array, data: Uint8Array, width: number): void {
  const steps = eight(width);
  const without = (at: number) => data[at] === 1 && parts[at] === 0;
  let edge: number[] = [];
  for (let at = 0; at < parts.length; at++) if (parts[at] !== 0 && steps.some((step) => without(at + step))) edge.push(at);
  while (edge.length > 0) {
    const next: number[] = [];
    for (const at of edge) {
      for (const step of steps) {
        if (!without(at + step)) continue;
        parts[at + step] = parts[at] as number;
        next.push(at + step);
      }
    }
    edge = next;
  }
  for (let at = 0; at < parts.length; at++) if (without(at)) parts[at] = 1;
}

/** The pixels of a line through `points` (x, y in pixels of the map), each connected with the next by an edge. */
export function lineOf(points: readonly (readonly [number, number])[], height: number, width: number): Uint8Array {
  const line = new Uint8Array(height * width);
  const mark = (x: number, y: number) => {
    if (x >= 0 && x < width && y >= 0 && y < height) line[y * width + x] = 1;
  };
  for (const [i, to] of points.slice(1).entries()) {
    const from = points[i] as readonly [number, number];
    let [x, y] = [Math.floor(from[0]), Math.floor(from[1])];
    mark(x, y);
    const steps = Math.max(1, Math.ceil(4 * Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]))));
    for (let step = 1; step <= steps; step++) {
      const nextX = Math.floor(from[0] + ((to[0] - from[0]) * step) / steps);
      const nextY = Math.floor(from[1] + ((to[1] - from[1]) * step) / steps);
      if (nextX !== x && nextY !== y) mark(nextX, y);
      mark(nextX, nextY);
      [x, y] = [nextX, nextY];
    }
  }
  return line;
}
