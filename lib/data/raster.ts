/**
 * Rasterises outlines. A pixel belongs to a shape when its centre lies inside. Corners of pixels are at whole numbers, as in
 * GeoJSON and COCO, so the centre of pixel (row r, column c) is x = c + 0.5, y = r + 0.5. A centre on an edge belongs to the
 * side right of or below it.
 */
import type { LabelMap } from "./image.js";

/** x, y, x, y, ... of a closed line; the last point need not repeat the first. */
export type Ring = ArrayLike<number>;
/** Rings by the even-odd rule: an outline, then its holes. */
export type Polygon = readonly Ring[];

/** One object: its polygons together, or runs of pixels. Ignore regions are neither cell nor background. */
export interface Shape {
  /** Its name in messages. */
  name: string;
  ignore: boolean;
  /** Calls `run(row, from, to)` for every horizontal run of its pixels, columns from..to-1, inside the image. */
  fill: (run: (row: number, from: number, to: number) => void) => void;
}

/** Fills a polygon [x right, y down] in an image of height x width. Calls `run(row, from, to)` with columns from..to-1. */
export function fillPolygon(
  polygon: Polygon,
  [height, width]: readonly [number, number],
  run: (row: number, from: number, to: number) => void,
): void {
  // For each row the x at which edges cross its centre line.
  const crossings: number[][] = [];
  let top = height;
  for (const ring of polygon) {
    const points = Math.floor(ring.length / 2);
    for (let i = 0; i < points; i++) {
      const j = (i + 1) % points;
      let [x0, y0, x1, y1] = [ring[2 * i] ?? 0, ring[2 * i + 1] ?? 0, ring[2 * j] ?? 0, ring[2 * j + 1] ?? 0];
      if (y0 === y1) continue;
      if (y0 > y1) [x0, y0, x1, y1] = [x1, y1, x0, y0];
      const first = Math.max(0, Math.ceil(y0 - 0.5));
      const last = Math.min(height, Math.ceil(y1 - 0.5));
      if (first < last) top = Math.min(top, first);
      for (let row = first; row < last; row++) {
        const x = x0 + ((row + 0.5 - y0) / (y1 - y0)) * (x1 - x0);
        const list = crossings[row];
        if (list) list.push(x);
        else crossings[row] = [x];
      }
    }
  }
  for (let row = top; row < crossings.length; row++) {
    const xs = crossings[row];
    if (!xs) continue;
    xs.sort((a, b) => a - b);
    for (let i = 0; i + 1 < xs.length; i += 2) {
      const from = Math.max(0, Math.ceil((xs[i] ?? 0) - 0.5));
      const to = Math.min(width, Math.ceil((xs[i + 1] ?? 0) - 0.5));
      if (from < to) run(row, from, to);
    }
  }
}

/**
 * Paints shapes into a label map: ids 1..N in the given order, later ones on top; ignore regions (-1) first, so that cells
 * cover them. Cells of which no pixel is left are listed in `notes`; their ids remain unused.
 */
export function paint(shapes: readonly Shape[], shape: readonly [number, number], notes: string[] = []): LabelMap {
  const [height, width] = shape;
  const data = new Int32Array(height * width);
  for (const { ignore, fill } of shapes) {
    if (ignore) fill((row, from, to) => void data.fill(-1, row * width + from, row * width + to));
  }
  const cells = shapes.filter(({ ignore }) => !ignore);
  for (const [i, { fill }] of cells.entries()) {
    fill((row, from, to) => void data.fill(i + 1, row * width + from, row * width + to));
  }
  const seen = new Uint8Array(cells.length + 1);
  for (const id of data) if (id > 0) seen[id] = 1;
  const lost = cells.filter((_, i) => seen[i + 1] === 0).map(({ name }) => name);
  if (lost.length > 0) {
    const names = lost.slice(0, 5).join(", ") + (lost.length > 5 ? ", ..." : "");
    notes.push(
      `objects without a pixel of their own (too small, outside the image, or covered by later ones): ${lost.length} (${names})`,
    );
  }
  return { data, shape: [height, width], count: cells.length - lost.length, notes };
}
