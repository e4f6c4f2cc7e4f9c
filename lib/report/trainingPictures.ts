/** The pictures of TrainingVisualizer: images with boxes or cells, and charts of losses. */
import {
  boxesOf,
  type Canvas,
  type Colour,
  drawContours,
  drawFrame,
  drawImage,
  type OverlayLabels,
  PREDICTION,
  PROMPT,
  panels,
  TRUTH,
  toDisplay,
} from "./canvas.js";
import { withCaptions } from "./caption.js";
import { type Line, lineChart, palette, type Series } from "./charts.js";
import { chartPng } from "./rasterize.js";

export { writeCanvas } from "./overlay.js";

/** Pixels of any range: [H,W], [H,W,C] or, when the first side is 1 or 3 and the last is not, [C,H,W]. */
export interface VisualImage {
  data: ArrayLike<number>;
  shape: readonly number[];
}

/** [H,W]; 0 is background. */
export interface VisualLabels {
  data: Int32Array;
  shape: readonly number[];
}

/** Numbers in rows of four. */
export type Boxes = readonly (readonly number[])[];

/** The image with true and predicted boxes, each [n,4] as cx, cy, w, h relative to the image's sides. */
export function boxPicture(image: VisualImage, predBoxes: Boxes, gtBoxes: Boxes): Promise<Canvas> {
  const { canvas, scale, width, height } = paint(image, 1);
  const panel = { left: 0, width: width * scale };
  const pixels = ([cx = 0, cy = 0, w = 0, h = 0]: readonly number[]) =>
    [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height].map((value) => value * scale);
  const line = scale > 1 ? 2 : 1;
  // One pixel wider than the predicted boxes, so that both can be seen where they agree.
  for (const box of gtBoxes) drawFrame(canvas, pixels(box), panel, TRUTH, line + 1);
  for (const box of predBoxes) drawFrame(canvas, pixels(box), panel, PREDICTION, line);
  const half = Math.floor(canvas.width / 2);
  return withCaptions(canvas, [
    { left: 0, width: half, text: `true: ${gtBoxes.length}`, colour: TRUTH },
    { left: half, width: half, text: `predicted: ${predBoxes.length}`, colour: PREDICTION },
  ]);
}

/**
 * The image with its prompts, the true cells and the predicted cells, side by side. `promptBoxes` are [n,4] as x0, y0, x1, y1
 * in pixels.
 */
export function maskPicture(
  image: VisualImage,
  promptBoxes: Boxes,
  predMasks: VisualLabels,
  gtMasks: VisualLabels,
): Promise<Canvas> {
  const { canvas, scale, width, lefts } = paint(image, 3);
  for (const box of promptBoxes) {
    const scaled = box.map((value) => value * scale);
    drawFrame(canvas, scaled, { left: 0, width: width * scale }, PROMPT, scale > 1 ? 2 : 1);
  }
  drawInstances(canvas, lefts[1] ?? 0, gtMasks, scale);
  drawInstances(canvas, lefts[2] ?? 0, predMasks, scale);
  const texts = [
    `prompts: ${promptBoxes.length}`,
    `true cells: ${boxesOf(flat(gtMasks)).length}`,
    `predicted cells: ${boxesOf(flat(predMasks)).length}`,
  ];
  const captions = texts.map((text, i) => ({ left: lefts[i] ?? 0, width: width * scale, text }));
  return withCaptions(canvas, captions);
}

export function singleMaskPicture(image: VisualImage, mask: VisualLabels): Canvas {
  const { canvas, scale, lefts } = paint(image, 2);
  drawInstances(canvas, lefts[1] ?? 0, mask, scale);
  return canvas;
}

/** PNG bytes. */
export function trainingCurves(train: Series, val: Series | undefined, title: string): Promise<Uint8Array> {
  const lines: Line[] = [{ name: "training", values: train, ...(val && { dashed: true }) }];
  if (val) lines.push({ name: "validation", values: val, best: lowest(val) });
  return chartPng(lineChart({ lines, title, width: 640, height: 400 }));
}

/** PNG bytes. */
export function lossComponents(components: Readonly<Record<string, Series>>, title: string): Promise<Uint8Array> {
  const lines = Object.entries(components).map(([name, values]) => ({ name, values }));
  return chartPng(lineChart({ lines, title, log: true, width: 640, height: 400 }));
}

/** Number of the epoch with the lowest value, from 1. */
function lowest(values: Series): number | undefined {
  let at: number | undefined;
  values.forEach((value, i) => {
    if (value !== null && (at === undefined || value < (values[at - 1] as number))) at = i + 1;
  });
  return at;
}

/** A canvas with the image in each of `count` panels; small images are enlarged to 512 px or more by a whole factor. */
function paint(image: VisualImage, count: number) {
  const shown = channelsLast(image);
  const [height = 0, width = 0] = shown.shape;
  const scale = Math.max(1, Math.ceil(512 / Math.max(height, width)));
  const { canvas, lefts } = panels(count, width * scale, height * scale);
  const pixels = toDisplay(shown);
  for (const left of lefts) drawImage(canvas, left, pixels, width, scale, { width: width * scale, height: height * scale });
  return { canvas, lefts, scale, width, height };
}

function channelsLast(image: VisualImage): VisualImage {
  const [channels = 0, height = 0, width = 0] = image.shape;
  const first = image.shape.length === 3 && (channels === 1 || channels === 3) && width !== 1 && width !== 3;
  if (!first) return image;
  const data = new Float32Array(image.data.length);
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < height * width; i++) data[i * channels + c] = image.data[c * height * width + i] ?? 0;
  return { data, shape: [height, width, channels] };
}

const hues = palette
  .slice(0, 6)
  .map((hex) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16)) as unknown as Colour);

/** Draws cells tinted and outlined; consecutive ids have different colours. */
function drawInstances(canvas: Canvas, left: number, labels: VisualLabels, scale: number): void {
  const [height = 0, width = 0] = labels.shape;
  const of = (id: number) => hues[id % hues.length] as Colour;
  for (let y = 0; y < height * scale; y++) {
    for (let x = 0; x < width * scale; x++) {
      const id = labels.data[Math.floor(y / scale) * width + Math.floor(x / scale)] ?? 0;
      if (id <= 0) continue;
      const at = (y * canvas.width + left + x) * 3;
      of(id).forEach((value, c) => {
        canvas.data[at + c] = 0.5 * (canvas.data[at + c] ?? 0) + 0.5 * value;
      });
    }
  }
  drawContours(canvas, left, flat(labels), scale, [255, 255, 255]);
}

function flat({ data, shape: [height = 0, width = 0] }: VisualLabels): OverlayLabels {
  return { data, shape: [height, width] };
}
