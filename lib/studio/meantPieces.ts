/** The pieces of a proposal that its prompt means: a network may mark pixels elsewhere, too. */
import { connectedComponents } from "../data/labels.js";
import type { Bounds } from "./api.js";

export interface Piece {
  /** 0 or 1 for each pixel of `bounds`, row by row. */
  mask: Uint8Array;
  bounds: Bounds;
}

/**
 * The pieces (pixels connected by edges) on which one of the points of the cell lies; without such a piece, as for a box, the
 * largest one. The bounds become those of what is kept.
 * @param points on the cell, x and y in pixels of the image
 */
export function meantPieces(proposed: Piece, points: readonly (readonly [number, number])[]): Piece {
  const [x0, y0, x1, y1] = proposed.bounds;
  const [width, height] = [x1 - x0, y1 - y0];
  const { data: pieces, count } = connectedComponents(proposed.mask, height, width);
  if (count < 2) return proposed;
  const pointed = points
    .filter(([x, y]) => x >= x0 && x < x1 && y >= y0 && y < y1)
    .map(([x, y]) => pieces[(Math.floor(y) - y0) * width + Math.floor(x) - x0] as number);
  const meant = new Set(pointed.filter((piece) => piece > 0));
  if (meant.size === 0) meant.add(largest(pieces, count));
  const kept = (column: number, row: number) => meant.has(pieces[row * width + column] as number);
  return cropped(kept, proposed.bounds);
}

/**
 * Of each piece of `whole` the largest part that `left`, some of its pixels, has of it: neighbours that a cell reaches around must not
 * leave crumbs of it behind them. Both are 0 or 1 for each pixel, row by row.
 */
export function largestParts(whole: Uint8Array, left: Uint8Array, height: number, width: number): Uint8Array {
  const { data: parts, count } = connectedComponents(left, height, width);
  const { data: pieces, count: wholes } = connectedComponents(whole, height, width);
  const sizes = sizesOf(parts, count);
  const pieceOf = new Int32Array(count + 1);
  for (const [at, part] of parts.entries()) if (part > 0) pieceOf[part] = pieces[at] as number;
  const kept = new Int32Array(wholes + 1);
  for (let part = 1; part <= count; part++) {
    const piece = pieceOf[part] as number;
    if ((sizes[part] as number) > (sizes[kept[piece] as number] as number)) kept[piece] = part;
  }
  return left.map((inside, at) => (inside && kept[pieces[at] as number] === parts[at] ? 1 : 0));
}

/** The number of the piece with the most pixels, the first of equals. */
function largest(pieces: Int32Array, count: number): number {
  const sizes = sizesOf(pieces, count);
  return sizes.indexOf(Math.max(...sizes));
}

/** Pixels of each piece by its number, which counts from 1. */
function sizesOf(pieces: Int32Array, count: number): Uint32Array {
  const sizes = new Uint32Array(count + 1);
  for (const piece of pieces) if (piece > 0) sizes[piece] = (sizes[piece] as number) + 1;
  return sizes;
}

/** The pixels within the bounds that `kept` names, in the smallest bounds that hold them. */
function cropped(kept: (column: number, row: number) => boolean, [x0, y0, x1, y1]: Bounds): Piece {
  let [left, top, right, bottom] = [x1 - x0, y1 - y0, 0, 0];
  for (let row = 0; row < y1 - y0; row++) {
    for (let column = 0; column < x1 - x0; column++) {
      if (!kept(column, row)) continue;
      [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
    }
  }
  const across = right - left;
  const mask = Uint8Array.from({ length: across * (bottom - top) }, (_, at) =>
    kept(left + (at % across), top + Math.floor(at / across)) ? 1 : 0,
  );
  return { mask, bounds: [x0 + left, y0 + top, x0 + right, y0 + bottom] };
}
