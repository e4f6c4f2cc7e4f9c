/** Pictures for the eye: an image beside itself with the true outlines (green) and the predicted ones (red), and their boxes. */
import { writeRgbPng } from "../data/write.js";

/** Pixels [H,W] or [H,W,3]; any range, shown from the 0.1st to the 99.9th percentile. */
export interface OverlayImage {
  data: ArrayLike<number>;
  shape: readonly number[];
}

/** Ids [H,W], 0 is background. */
export interface OverlayLabels {
  data: Int32Array;
  shape: readonly [number, number];
}

type Colour = readonly [number, number, number];
const TRUTH: Colour = [60, 255, 90];
const PREDICTION: Colour = [255, 70, 60];
const SMALLEST_PANEL = 512;
const GAP = 8;

/** An RGB picture under construction, [height,width,3]. */
interface Canvas {
  data: Uint8Array;
  width: number;
  height: number;
}

/**
 * Writes one PNG of panels side by side: the image; with `truth`, its outlines; the prediction's outlines. Images below 512 px are enlarged by
 * a whole factor, so that pixels stay visible as squares.
 */
export async function writeOverlay(
  path: string,
  image: OverlayImage,
  truth: OverlayLabels | undefined,
  prediction: OverlayLabels,
): Promise<void> {
  const [height = 0, width = 0] = image.shape;
  for (const labels of [truth, prediction]) {
    if (labels && (labels.shape[0] !== height || labels.shape[1] !== width)) {
      throw new RangeError(`labels of ${labels.shape.join(" x ")} do not lie on an image of ${height} x ${width}`);
    }
  }
  const scale = Math.max(1, Math.ceil(SMALLEST_PANEL / Math.max(height, width)));
  const layers = [undefined, ...(truth ? [{ labels: truth, colour: TRUTH }] : []), { labels: prediction, colour: PREDICTION }];
  const panel = { width: width * scale, height: height * scale };
  const canvas: Canvas = {
    width: layers.length * panel.width + (layers.length - 1) * GAP,
    height: panel.height,
    data: new Uint8Array(),
  };
  canvas.data = new Uint8Array(canvas.width * canvas.height * 3).fill(255);
  const shown = toDisplay(image);
  layers.forEach((layer, i) => {
    const left = i * (panel.width + GAP);
    drawImage(canvas, left, shown, width, scale, panel);
    if (layer) {
      drawBoxes(canvas, left, layer.labels, scale, layer.colour);
      drawContours(canvas, left, layer.labels, scale, layer.colour);
    }
  });
  await writeRgbPng(path, canvas.data, canvas.height, canvas.width);
}

/** Three bytes a pixel. One range for all channels keeps colours as they are. */
function toDisplay({ data, shape }: OverlayImage): Uint8Array {
  const [height = 0, width = 0, channels = 1] = shape;
  const step = Math.max(1, Math.floor(data.length / 65536));
  const sample = Float64Array.from({ length: Math.ceil(data.length / step) }, (_, i) => data[i * step] ?? 0).sort();
  const low = sample[Math.floor(sample.length * 0.001)] ?? 0;
  const high = sample[Math.ceil(sample.length * 0.999) - 1] ?? 1;
  const out = new Uint8Array(height * width * 3);
  for (let i = 0; i < out.length; i++) {
    const value = data[channels === 1 ? Math.floor(i / 3) : Math.floor(i / 3) * channels + Math.min(i % 3, channels - 1)] ?? 0;
    out[i] = Math.max(0, Math.min(255, ((value - low) / Math.max(high - low, 1e-12)) * 255));
  }
  return out;
}

function drawImage(
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

/** The edge pixels of each cell, drawn inside it, so that cells that touch show two lines. */
function drawContours(canvas: Canvas, left: number, { data, shape }: OverlayLabels, scale: number, colour: Colour): void {
  const [height, width] = shape;
  const at = (x: number, y: number) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : (data[y * width + x] ?? 0));
  const line = Math.max(1, Math.round(scale / 3));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const id = at(x, y);
      if (id === 0) continue;
      const [x0, y0, x1, y1] = [left + x * scale, y * scale, left + (x + 1) * scale, (y + 1) * scale];
      if (at(x - 1, y) !== id) fill(canvas, x0, y0, x0 + line, y1, colour);
      if (at(x + 1, y) !== id) fill(canvas, x1 - line, y0, x1, y1, colour);
      if (at(x, y - 1) !== id) fill(canvas, x0, y0, x1, y0 + line, colour);
      if (at(x, y + 1) !== id) fill(canvas, x0, y1 - line, x1, y1, colour);
    }
  }
}

/** Half-open boxes of the labels as thin lines, in a darker shade of the colour. */
function drawBoxes(canvas: Canvas, left: number, { data, shape }: OverlayLabels, scale: number, colour: Colour): void {
  const [, width] = shape;
  const boxes = new Map<number, [number, number, number, number]>();
  data.forEach((id, i) => {
    if (id === 0) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    const box = boxes.get(id) ?? [x, y, x + 1, y + 1];
    boxes.set(id, [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x + 1), Math.max(box[3], y + 1)]);
  });
  const dark: Colour = [colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6];
  for (const box of boxes.values()) {
    const [x0, y0, x1, y1] = [left + box[0] * scale, box[1] * scale, left + box[2] * scale, box[3] * scale];
    fill(canvas, x0, y0, x1, y0 + 1, dark);
    fill(canvas, x0, y1 - 1, x1, y1, dark);
    fill(canvas, x0, y0, x0 + 1, y1, dark);
    fill(canvas, x1 - 1, y0, x1, y1, dark);
  }
}

function fill(canvas: Canvas, x0: number, y0: number, x1: number, y1: number, colour: Colour): void {
  for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) canvas.data.set(colour, (y * canvas.width + x) * 3);
}
