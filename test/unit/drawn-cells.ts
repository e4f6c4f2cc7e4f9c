// Draws fields of separate round cells, and writes them as people's files come: any bit depth, palettes, noise.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { encode } from "fast-png";

/** A small generator of numbers in [0, 1), the same for every machine. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export interface Field {
  side: number;
  /** Centres and radii. */
  cells: { x: number; y: number; r: number }[];
  /** [side,side], ids from 1. */
  ids: Uint16Array;
}

/** `count` discs that lie `gap` pixels or more apart, whole in the field. */
export function drawnField(seed: number, { side = 96, count = 10, radius = [5, 9], gap = 3, margin = 2 } = {}): Field {
  const next = random(seed);
  const cells: Field["cells"] = [];
  for (let tries = 0; cells.length < count && tries < 100000; tries++) {
    const r = (radius[0] ?? 5) + next() * ((radius[1] ?? 9) - (radius[0] ?? 5));
    const [x, y] = [0, 0].map(() => margin + r + next() * (side - 2 * (margin + r))) as [number, number];
    if (cells.every((one) => Math.hypot(one.x - x, one.y - y) > one.r + r + gap)) cells.push({ x, y, r });
  }
  const ids = new Uint16Array(side * side);
  for (const [i, { x, y, r }] of cells.entries())
    for (let row = Math.max(0, Math.floor(y - r)); row < Math.min(side, y + r); row++)
      for (let column = Math.max(0, Math.floor(x - r)); column < Math.min(side, x + r); column++)
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) < r) ids[row * side + column] = i + 1;
  return { side, cells, ids };
}

/** How much of each pixel the cells cover, 0 to 255, as a drawing program with antialiasing writes them. */
export function coverage({ side, cells }: Field, steps = 4): Uint8Array {
  const out = new Uint8Array(side * side);
  for (let i = 0; i < out.length; i++) {
    let hit = 0;
    for (let k = 0; k < steps * steps; k++) {
      const px = (i % side) + ((k % steps) + 0.5) / steps;
      const py = Math.floor(i / side) + (Math.floor(k / steps) + 0.5) / steps;
      if (cells.some(({ x, y, r }) => Math.hypot(px - x, py - y) < r)) hit++;
    }
    out[i] = Math.round((255 * hit) / (steps * steps));
  }
  return out;
}

/** Linear interpolation to `to` pixels a side, rounded, as resizing a label image without thought does. */
export function interpolated(ids: ArrayLike<number>, from: number, to: number): Uint16Array {
  const at = (row: number, column: number) =>
    ids[Math.min(from - 1, Math.max(0, row)) * from + Math.min(from - 1, Math.max(0, column))] as number;
  return Uint16Array.from({ length: to * to }, (_, i) => {
    const y = ((Math.floor(i / to) + 0.5) * from) / to - 0.5;
    const x = (((i % to) + 0.5) * from) / to - 0.5;
    const [y0, x0] = [Math.floor(y), Math.floor(x)];
    const [b, a] = [y - y0, x - x0];
    return Math.round(
      (1 - b) * ((1 - a) * at(y0, x0) + a * at(y0, x0 + 1)) + b * ((1 - a) * at(y0 + 1, x0) + a * at(y0 + 1, x0 + 1)),
    );
  });
}

/** Writes samples as PNG; the type of the array decides between 8 and 16 bit. */
export async function writePng(
  path: string,
  data: Uint8Array | Uint16Array,
  [height, width]: readonly [number, number],
  channels: 1 | 2 | 3 | 4 = 1,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, encode({ width, height, channels, depth: data instanceof Uint16Array ? 16 : 8, data }));
}

/** Bright cells on a dark, slightly noisy background, [side,side]. */
export function photographed({ side, ids }: Field, seed = 1): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length: side * side }, (_, i) => ((ids[i] as number) > 0 ? 140 : 12) + next() * 40);
}
