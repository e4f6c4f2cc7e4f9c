/** Pictures of a tile of labels: the cells' areas and their outlines. */

/** Cell ids of a tile, row by row; 0 is the background. */
export interface LabelTile {
  ids: Uint32Array;
  width: number;
  height: number;
}

/** "#rrggbb" as a little-endian RGBA pixel, opaque. */
export function pixelOf(colour: string): number {
  const rgb = Number.parseInt(colour.slice(1), 16);
  return ((0xff << 24) | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

/**
 * Fills `areas` with the colour of each pixel's cell, and `outlines` with it where one of the four pixels around is of another
 * cell or of none. What lies beyond the tile counts as the same cell.
 */
export function paint(
  { ids, width, height }: LabelTile,
  colourOf: (id: number) => number,
  areas: Uint32Array,
  outlines: Uint32Array,
): void {
  let last = 0;
  let colour = 0;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const id = ids[at] as number;
      if (id === 0) {
        areas[at] = 0;
        outlines[at] = 0;
        continue;
      }
      if (id !== last) {
        last = id;
        colour = colourOf(id);
      }
      areas[at] = colour;
      const edge =
        (x > 0 && ids[at - 1] !== id) ||
        (x + 1 < width && ids[at + 1] !== id) ||
        (y > 0 && ids[at - width] !== id) ||
        (y + 1 < height && ids[at + width] !== id);
      outlines[at] = edge ? colour : 0;
    }
  }
}

/** A straight piece of a cell's border, between corners of pixels of the tile. */
export type Segment = [x0: number, y0: number, x1: number, y1: number];

/**
 * The borders of cells by their group, as straight pieces as long as possible. Where two groups meet, the piece is that of the
 * left or upper cell. What lies beyond the tile counts as the same cell, so that no line is drawn where a tile cuts one.
 * @param groupOf from 0; below 0 for cells whose borders are not wanted
 */
export function borders({ ids, width, height }: LabelTile, groups: number, groupOf: (id: number) => number): Segment[][] {
  const segments: Segment[][] = Array.from({ length: groups }, () => []);
  const groupAt = (a: number, b: number): number => {
    if (a === b) return -1;
    const first = a > 0 ? groupOf(a) : -1;
    return first >= 0 || b === 0 ? first : groupOf(b);
  };
  /** Follows a line between rows or columns of pixels. */
  const follow = (length: number, groupOn: (i: number) => number, add: (group: number, from: number, to: number) => void) => {
    let group = -1;
    let from = 0;
    for (let i = 0; i <= length; i++) {
      const here = i < length ? groupOn(i) : -1;
      if (here === group) continue;
      if (group >= 0) add(group, from, i);
      group = here;
      from = i;
    }
  };
  for (let y = 1; y < height; y++) {
    const below = y * width;
    follow(
      width,
      (x) => groupAt(ids[below - width + x] as number, ids[below + x] as number),
      (group, from, to) => segments[group]?.push([from, y, to, y]),
    );
  }
  for (let x = 1; x < width; x++) {
    follow(
      height,
      (y) => groupAt(ids[y * width + x - 1] as number, ids[y * width + x] as number),
      (group, from, to) => segments[group]?.push([x, from, x, to]),
    );
  }
  return segments;
}
