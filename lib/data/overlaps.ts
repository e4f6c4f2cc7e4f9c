/** Relations between the objects of one image: which are the same cell drawn twice, and which are regions around the others. */
import type { Shape } from "./objects.js";
import { eachRow, sharedArea } from "./raster.js";

/**
 * Two outlines of one cell have a larger IoU: of a cell of 11 pixels that two people outline 1 pixel apart it is 0.73. Neighbours
 * have less. A nucleus that fills its cell is of another category and may have as much.
 */
const SAME_IOU = 0.5;
const SAME_IOU_OF_CATEGORIES = 0.8;
/** Objects whose centres are so near that they are compared, at most, for each object. */
const MOST_COMPARED = 500;
/** Share of an object that lies in a region which contains it. */
const CONTAINED = 0.9;
/** Share of the other objects that a region contains. */
const NEARLY_ALL = 0.9;
/** Largest objects that are tried as regions. */
const MOST_REGIONS = 20;

/** Rows that are compared for one image, at most: 100 000 cells with their neighbours take less. What is left then counts as apart. */
const MOST_ROWS = 2e7;

/** Shared areas within the limit of MOST_ROWS. */
function comparer(): (a: Shape, b: Shape) => number {
  let rows = 0;
  return (a, b) => {
    rows += (2 * Math.min(a.rows.length, b.rows.length)) / 3;
    return rows > MOST_ROWS ? 0 : sharedArea(a.rows, b.rows);
  };
}

/** Those that show the same cell as one that comes earlier. */
export function drawnTwice(shapes: readonly Shape[]): Set<Shape> {
  const twice = new Set<Shape>();
  const shared = comparer();
  const placed = shapes.filter(({ area }) => area > 0).map((shape, order) => ({ shape, order, ...centre(shape) }));
  placed.sort((a, b) => a.x - b.x);
  for (const [i, a] of placed.entries()) {
    // Outlines with this IoU have centres that differ by a small part of their size.
    const reach = Math.sqrt(a.shape.area) / 2 + 1;
    let compared = 0;
    for (let j = i + 1; j < placed.length && compared < MOST_COMPARED; j++) {
      const b = placed[j] as (typeof placed)[number];
      if (b.x - a.x > reach) break;
      compared++;
      const [small, large] = a.shape.area < b.shape.area ? [a.shape.area, b.shape.area] : [b.shape.area, a.shape.area];
      const least = a.shape.category === b.shape.category ? SAME_IOU : SAME_IOU_OF_CATEGORIES;
      if (Math.abs(b.y - a.y) > reach || small < least * large || twice.has(a.shape) || twice.has(b.shape)) continue;
      const common = shared(a.shape, b.shape);
      if (common > least * (small + large - common)) twice.add(a.order < b.order ? b.shape : a.shape);
    }
  }
  return twice;
}

function centre({ rows, area }: Shape): { x: number; y: number } {
  let [x, y] = [0, 0];
  eachRow(rows, (row, from, to) => {
    x += ((from + to) / 2) * (to - from);
    y += (row + 0.5) * (to - from);
  });
  return { x: x / area, y: y / area };
}

/**
 * Objects that contain others. `regions`: they contain at least nine of ten others, or are rectangles that contain several, as a
 * region of interest does; `holders`: they contain 3 or more others, and may be cells.
 *
 * @param wanted categories that the configuration names as cells: an object of these that contains objects of another is a cell
 */
export function regionsAmong(
  shapes: readonly Shape[],
  size: readonly [number, number],
  wanted?: ReadonlySet<string>,
): { regions: Set<Shape>; holders: Set<Shape> } {
  const regions = new Set<Shape>();
  const holders = new Set<Shape>();
  const shared = comparer();
  const bySize = shapes.filter(({ area }) => area > 0).sort((a, b) => b.area - a.area);
  const boxes = new Map(bySize.map((shape) => [shape, bounds(shape)]));
  const within = (inner: Shape, outer: Shape) => middleWithin(boxes.get(inner) as Box, boxes.get(outer) as Box);
  for (const [rank, shape] of bySize.slice(0, MOST_REGIONS).entries()) {
    const near = bySize
      .slice(rank + 1)
      .filter((other) => other.area < shape.area && !regions.has(other) && within(other, shape));
    const inside = near.filter((other) => shared(shape, other) >= CONTAINED * other.area);
    if (inside.length === 0) continue;
    // One of nearly the same size is another outline of the same, and says nothing.
    const held = inside.filter((other) => other.area < shape.area / 2);
    const others = bySize.length - regions.size - 1 - (inside.length - held.length);
    const image = size[0] * size[1];
    const all = held.length >= NEARLY_ALL * others && (held.length >= 5 || (held.length >= 3 && shape.area > 0.3 * image));
    const field = isRectangle(shape) && (held.length >= 3 || (held.length === others && shape.area > 0.5 * image));
    const asked = wanted && shape.category !== undefined && !held.some(({ category }) => category === shape.category);
    if ((all || field) && !asked) regions.add(shape);
    else if (held.length >= 3) holders.add(shape);
  }
  return { regions, holders };
}

type Box = readonly [left: number, top: number, right: number, bottom: number];

function bounds({ rows }: Shape): Box {
  let [left, right] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < rows.length; i += 3) {
    left = Math.min(left, rows[i + 1] as number);
    right = Math.max(right, rows[i + 2] as number);
  }
  return [left, rows[0] as number, right, (rows[rows.length - 3] as number) + 1];
}

/** Whether the middle of a box lies in another: a quick test before pixels are counted. */
function middleWithin([left, top, right, bottom]: Box, outer: Box): boolean {
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return x >= outer[0] && x <= outer[2] && y >= outer[1] && y <= outer[3];
}

function isRectangle(shape: Shape): boolean {
  const [left, top, right, bottom] = bounds(shape);
  const box = (right - left) * (bottom - top);
  return box >= 100 && shape.area >= 0.98 * box;
}
