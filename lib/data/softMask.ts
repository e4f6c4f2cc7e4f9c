/**
 * Recognises masks whose values are no ids because they were smoothed: foreground masks with grey edges (drawn with
 * antialiasing, stored as JPEG, blurred, or probabilities), and label images that were resized with interpolation.
 */
import type { Samples } from "./image.js";

/** About so many pixels are looked at; of larger masks every n-th row. */
const LOOKED_AT = 4e6;
/** Integer masks with a lower maximum are taken for ids. */
const LOWEST_TOP = 16;
/** Up to this share of the maximum a value counts as background, from 1 minus it on as foreground. */
const NEAR = 0.15;
/** Share of the greys that must have a neighbour of another value: in a label image, most pixels of a cell have none. */
const SLOPES = 0.7;

function rowStep(height: number, width: number): number {
  return Math.max(1, Math.floor((height * width) / LOOKED_AT));
}

/** Whether all values are whole numbers. */
export function isWhole(data: Samples): boolean {
  const float = data instanceof Float32Array || data instanceof Float64Array;
  return !float || data.every(Number.isInteger);
}

/** The largest value of every `step`-th row; NaN where one is not finite or negative. */
export function largestValue(data: Samples, width = data.length, step = 1): number {
  let top = 0;
  for (let start = 0; start < data.length; start += width * step) {
    for (let i = start, end = Math.min(data.length, start + width); i < end; i++) {
      const value = data[i] as number;
      if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) return Number.NaN;
      if (value > top) top = value;
    }
  }
  return top;
}

/**
 * The value at which a smoothed foreground mask [H,W] is to be cut, half of its maximum; null where the values are not those of
 * one: near 0, near the maximum, and on slopes between.
 */
export function softForegroundCut(data: Samples, height: number, width: number): number | null {
  const top = largestValue(data, width, rowStep(height, width));
  if (!(top > 0)) return null;
  // 64-bit ids arrive as floats.
  if (top < LOWEST_TOP && isWhole(data)) return null;
  const [low, high] = [NEAR * top, (1 - NEAR) * top];
  let [zero, faint, between, near, full, grey, slopes] = [0, 0, 0, 0, 0, 0, 0];
  const faintValues = new Set<number>();
  const nearValues = new Set<number>();
  for (let y = 0; y < height; y += rowStep(height, width)) {
    for (let x = 0, i = y * width; x < width; x++, i++) {
      const value = data[i] as number;
      if (value === 0) {
        zero++;
        continue;
      }
      if (value <= low) {
        faint++;
        if (faintValues.size < 3) faintValues.add(value);
      } else if (value >= high) {
        near++;
        if (nearValues.size < 2) nearValues.add(value);
      } else between++;
      if (value === top) {
        full++;
        continue;
      }
      grey++;
      const inside =
        (x === 0 || data[i - 1] === value) &&
        (x === width - 1 || data[i + 1] === value) &&
        (y === 0 || data[i - width] === value) &&
        (y === height - 1 || data[i + width] === value);
      if (!inside) slopes++;
    }
  }
  // A good JPEG of a mask has no values between, but noise at both ends, or at the upper one.
  const noise = nearValues.size === 2 && (faintValues.size === 3 || (faint === 0 && 2 * full >= near));
  const soft = (between > 0 || noise) && slopes >= SLOPES * grey && near >= between / 2 && zero >= 0.3 * (zero + faint);
  return soft ? top / 2 : null;
}

/** Share of the edge pixels of cells that must have an id between those of two opposite neighbours. */
const SMEARED = 0.3;
/** Fewer pixels are chance; a single id may be the outline, one pixel wide, in a mask of inside and outline. */
const FEWEST_SMEARED = { pixels: 20, ids: 2 };

/**
 * `smeared`: whether a label image was resized with interpolation, so that at the edges of cells lie thin ids between the ids of
 * both sides. It is rare that a cell is one pixel wide and lies between two cells that touch it, with a lower and a higher id.
 * `inside`: the share of labelled pixels with four neighbours of the same id, which is next to nothing in a photograph.
 */
export function smearOf(ids: Int32Array, height: number, width: number): { smeared: boolean; inside: number } {
  let [edges, between, inside] = [0, 0, 0];
  const invented = new Set<number>();
  const step = rowStep(height, width);
  for (let y = 1; y < height - 1; y += step) {
    for (let i = y * width + 1, end = (y + 1) * width - 1; i < end; i++) {
      const id = ids[i] as number;
      if (id <= 0) continue;
      const [left, right, up, down] = [ids[i - 1], ids[i + 1], ids[i - width], ids[i + width]] as [
        number,
        number,
        number,
        number,
      ];
      if (left === id && right === id && up === id && down === id) {
        inside++;
        continue;
      }
      edges++;
      if ((left - id) * (id - right) > 0 || (up - id) * (id - down) > 0) {
        between++;
        invented.add(id);
      }
    }
  }
  const smeared = between >= Math.max(FEWEST_SMEARED.pixels, SMEARED * edges) && invented.size >= FEWEST_SMEARED.ids;
  return { smeared, inside: inside / Math.max(1, inside + edges) };
}
