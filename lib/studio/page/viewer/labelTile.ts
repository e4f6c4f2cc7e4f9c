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
 * The borders of the cells that `wanted` takes, as straight pieces as long as possible. What lies beyond the tile counts as the
 * same cell, so that no line is drawn where a tile cuts one.
 */
export function borders({ ids, width, height }: LabelTile, wanted: (id: number) => boolean): Segment[] {
  const segments: Segment[] = [];
  const at = (x: number, y: number) => ids[y * width + x] as number;
  const walk = (
    lines: number,
    length: number,
    isBorder: (i: number, line: number) => boolean,
    add: (line: number, from: number, to: number) => void,
  ) => {
    for (let line = 1; line < lines; line++) {
      let from = -1;
      for (let i = 0; i <= length; i++) {
        const border = i < length && isBorder(i, line);
        if (border && from < 0) from = i;
        if (!border && from >= 0) {
          add(line, from, i);
          from = -1;
        }
      }
    }
  };
  const differ = (a: number, b: number) => a !== b && ((a > 0 && wanted(a)) || (b > 0 && wanted(b)));
  walk(
    height,
    width,
    (x, y) => differ(at(x, y - 1), at(x, y)),
    (y, from, to) => segments.push([from, y, to, y]),
  );
  walk(
    width,
    height,
    (y, x) => differ(at(x - 1, y), at(x, y)),
    (x, from, to) => segments.push([x, from, x, to]),
  );
  return segments;
}
