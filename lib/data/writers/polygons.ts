/**
 * Cells as polygons along the edges of their pixels. Corners of pixels are at whole numbers: the pixel (row r, column c) is the
 * square from (c, r) to (c + 1, r + 1). Painting the polygons again (raster.ts) gives exactly the same pixels.
 */
import { connectedComponents } from "../labels.js";
import { type CellBox, type CellMask, cellBoxes, cellMask, type LabelArray } from "./segmentation.js";

/** The outlines of one cell. */
export interface CellPolygons {
  id: number;
  /**
   * A polygon for each part of the cell whose pixels share edges: its outer ring, then its holes. A ring is x, y, x, y, ... in
   * pixels from the top left corner of the image, and its last point is its first. Outer rings have a positive area by the
   * shoelace formula (counter-clockwise where y points up), holes a negative one. Rings do not cross themselves or each other;
   * two may touch in a point.
   */
  polygons: Int32Array[][];
}

/**
 * The polygons of all cells of a label map [H,W] by rising id; 0 and negative ids are no cells.
 * @throws CellsamError ERR_LABEL_VALUES where `data` does not fill the shape
 */
export function toPolygons(labels: LabelArray): CellPolygons[] {
  return cellBoxes(labels).map((box) => ({ id: box.id, polygons: polygonsOf(labels, box) }));
}

/** The polygons of one cell. */
export function polygonsOf(labels: LabelArray, box: CellBox): Int32Array[][] {
  const mask = cellMask(labels, box);
  const { height, width } = mask;
  const shells: { ring: Int32Array; at: number }[] = [];
  const holes: { ring: Int32Array; at: number }[] = [];
  const edges = new Uint8Array(mask.data.length);
  for (let at = width; at < mask.data.length; at++) {
    if (!mask.data[at] || mask.data[at - width] || edges[at]) continue;
    for (const corners of simpleRings(trace(mask, at, edges))) {
      const ring = closed(corners, box.x0 - 1, box.y0 - 1);
      (area(ring) > 0 ? shells : holes).push({ ring, at });
    }
  }
  if (shells.length === 1) return [[...shells, ...holes].map(({ ring }) => ring)];
  const part = connectedComponents(mask.data, height, width).data;
  return shells.map((shell) => [
    shell.ring,
    ...holes.filter((hole) => part[hole.at] === part[shell.at]).map(({ ring }) => ring),
  ]);
}

/**
 * Walks along the edge of the pixels from the upper left corner of pixel `start`, whose upper neighbour is no pixel of the cell,
 * with the cell on the right hand; marks in `edges` the pixels whose upper edge it passes.
 * @returns x, y, ... of the corners at which it turns, in coordinates of the mask
 */
function trace({ data, width }: CellMask, start: number, edges: Uint8Array): number[] {
  const corners: number[] = [];
  let x = start % width;
  let y = (start - x) / width;
  const first = [x, y];
  let [dx, dy] = [1, 0];
  do {
    if (dx === 1) edges[y * width + x] = 1;
    x += dx;
    y += dy;
    // The pixels ahead, on the right and on the left of the way.
    const right = data[(y + (dx + dy - 1) / 2) * width + x + (dx - dy - 1) / 2];
    const left = data[(y + (dy - dx - 1) / 2) * width + x + (dx + dy - 1) / 2];
    if (right && !left) continue;
    corners.push(x, y);
    // Where only corners of pixels meet, the way turns right: pixels that share no edge are different parts.
    [dx, dy] = right ? [dy, -dx] : [-dy, dx];
  } while (x !== first[0] || y !== first[1] || dx !== 1);
  return corners;
}

/** Cuts a closed way into rings that pass each point once. */
function simpleRings(corners: readonly number[]): number[][] {
  const rings: number[][] = [];
  const path: number[] = [];
  /** Where in `path` each of its points is. */
  const seen = new Map<number, number>();
  const keyOf = (points: readonly number[], i: number) => (points[i] as number) * 2 ** 26 + (points[i + 1] as number);
  for (let i = 0; i < corners.length; i += 2) {
    const before = seen.get(keyOf(corners, i));
    if (before !== undefined) {
      const ring = path.splice(before);
      for (let k = 0; k < ring.length; k += 2) seen.delete(keyOf(ring, k));
      rings.push(ring);
    }
    seen.set(keyOf(corners, i), path.length);
    path.push(corners[i] as number, corners[i + 1] as number);
  }
  rings.push(path);
  return rings;
}

function closed(corners: readonly number[], dx: number, dy: number): Int32Array {
  const ring = new Int32Array(corners.length + 2);
  for (let i = 0; i < ring.length; i++) ring[i] = (corners[i % corners.length] as number) + (i % 2 === 0 ? dx : dy);
  return ring;
}

/** Twice the signed area of a closed ring. */
function area(ring: Int32Array): number {
  let sum = 0;
  const at = (i: number) => ring[i] as number;
  for (let i = 0; i + 3 < ring.length; i += 2) sum += at(i) * at(i + 3) - at(i + 2) * at(i + 1);
  return sum;
}
