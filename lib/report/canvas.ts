/** Draws on an RGB canvas: images, outlines of cells and boxes. */
import { boxesAsFound } from "../data/writers/segmentation.js";

/** Pixels [H,W] or [H,W,3] of any range, displayed from the 0.1st to the 99.9th percentile. */
export interface OverlayImage {
  data: ArrayLike<number>;
  shape: readonly number[];
}

/** Ids [H,W]; 0 is background, negative values are regions to ignore. */
export interface OverlayLabels {
  data: Int32Array;
  shape: readonly [number, number];
}

export type Colour = readonly [number, number, number];
export const TRUTH: Colour = [60, 255, 90];
export const PREDICTION: Colour = [255, 70, 60];
export const PROMPT: Colour = [0, 225, 255];

/** RGB pixels [height,width,3]. */
export interface Canvas {
  data: Uint8Array;
  width: number;
  height: number;
}

const GAP = 8;

/** A white canvas for `count` panels of this size side by side, and the left edge of each. */
export function panels(count: number, width: number, height: number): { canvas: Canvas; lefts: number[] } {
  const full = count * width + (count - 1) * GAP;
  const canvas = { width: full, height, data: new Uint8Array(full * height * 3).fill(255) };
  return { canvas, lefts: Array.from({ length: count }, (_, i) => i * (width + GAP)) };
}

/** Draws the frame of a box [x0,y0,x1,y1], in pixels of the canvas, clipped to the panel. */
export function drawFrame(
  canvas: Canvas,
  [x0, y0, x1, y1]: readonly number[],
  panel: { left: number; width: number },
  colour: Colour,
  line = 1,
): void {
  const x = (value: number) => panel.left + Math.max(0, Math.min(panel.width, Math.round(value)));
  const y = (value: number) => Math.max(0, Math.min(canvas.height, Math.round(value)));
  const [l, t, r, b] = [x(x0 ?? 0), y(y0 ?? 0), x(x1 ?? 0), y(y1 ?? 0)];
  fill(canvas, l, t, r, Math.min(b, t + line), colour);
  fill(canvas, l, Math.max(t, b - line), r, b, colour);
  fill(canvas, l, t, Math.min(r, l + line), b, colour);
  fill(canvas, Math.max(l, r - line), t, r, b, colour);
}

/** RGB bytes of an image. All channels are scaled by one range, so that colours do not change. */
export function toDisplay({ data, shape }: OverlayImage): Uint8Array {
  const [height = 0, width = 0, channels = 1] = shape;
  const step = Math.max(1, Math.floor(data.length / 65536));
  const sample = Float64Array.from({ length: Math.ceil(data.length / step) }, (_, i) => data[i * step] ?? 0).sort();
  const low = sample[Math.floor(sample.length * 0.001)] ?? 0;
  const high = sample[Math.ceil(sample.length * 0.999) - 1] ?? 1;
  const out = new Uint8Array(height * width * 3);
  const range = Math.max(high - low, 1e-12);
  const shown = (at: number) => Math.max(0, Math.min(255, (((data[at] ?? 0) - low) / range) * 255));
  for (let at = 0, to = 0; to < out.length; at += channels, to += 3) {
    out[to] = shown(at);
    out[to + 1] = channels === 1 ? (out[to] as number) : shown(at + 1);
    out[to + 2] = channels === 1 ? (out[to] as number) : shown(at + Math.min(2, channels - 1));
  }
  return out;
}

/** Draws RGB bytes, enlarged by `scale`, into a panel. */
export function drawImage(
  canvas: Canvas,
  left: number,
  shown: Uint8Array,
  width: number,
  scale: number,
  panel: { width: number; height: number },
): void {
  for (let y = 0; y < panel.height; y++) {
    for (let x = 0; x < panel.width; x++) {
      const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * 3;
      canvas.data.set(shown.subarray(from, from + 3), (y * canvas.width + left + x) * 3);
    }
  }
}

/**
 * Draws the edge pixels of each cell inside it, so that touching cells have two lines; `line` is their width in pixels of the
 * canvas, at most `scale`.
 */
export function drawContours(
  canvas: Canvas,
  left: number,
  { data, shape }: OverlayLabels,
  scale: number,
  colour: Colour | ((id: number) => Colour),
  line = Math.max(1, Math.round(scale / 3)),
): void {
  const [height, width] = shape;
  const colourOf = typeof colour === "function" ? colour : () => colour;
  const at = (x: number, y: number) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : (data[y * width + x] ?? 0));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const id = at(x, y);
      if (id <= 0) continue; // background, or a region to ignore
      const beside = at(x - 1, y) !== id || at(x + 1, y) !== id;
      if (!beside && at(x, y - 1) === id && at(x, y + 1) === id) continue;
      const [x0, y0, x1, y1] = [left + x * scale, y * scale, left + (x + 1) * scale, (y + 1) * scale];
      const own = colourOf(id);
      if (at(x - 1, y) !== id) fill(canvas, x0, y0, x0 + line, y1, own);
      if (at(x + 1, y) !== id) fill(canvas, x1 - line, y0, x1, y1, own);
      if (at(x, y - 1) !== id) fill(canvas, x0, y0, x1, y0 + line, own);
      if (at(x, y + 1) !== id) fill(canvas, x0, y1 - line, x1, y1, own);
    }
  }
}

/** The half-open box x0, y0, x1, y1 of each cell, in pixels, in the order in which the cells appear. */
export function boxesOf(labels: OverlayLabels): [number, number, number, number][] {
  return boxesAsFound(labels).map(({ x0, y0, x1, y1 }) => [x0, y0, x1, y1]);
}

/** Draws the boxes of the cells as thin lines in a darker shade of the colour. */
export function drawBoxes(canvas: Canvas, left: number, labels: OverlayLabels, scale: number, colour: Colour): void {
  const dark: Colour = [colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6];
  for (const box of boxesOf(labels)) {
    const [x0, y0, x1, y1] = [left + box[0] * scale, box[1] * scale, left + box[2] * scale, box[3] * scale];
    fill(canvas, x0, y0, x1, y0 + 1, dark);
    fill(canvas, x0, y1 - 1, x1, y1, dark);
    fill(canvas, x0, y0, x0 + 1, y1, dark);
    fill(canvas, x1 - 1, y0, x1, y1, dark);
  }
}

/** Fills the half-open rectangle. */
export function fill(canvas: Canvas, x0: number, y0: number, x1: number, y1: number, colour: Colour): void {
  for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) canvas.data.set(colour, (y * canvas.width + x) * 3);
}
