/**
 * Writes pictures of predictions: panels of the image with the outlines and boxes of true (green) and predicted (red) cells, or
 * the image with outlines of every cell in a colour that its neighbours do not have.
 */
import { writeRgbPng } from "../data/write.js";
import type { LabelArray } from "../data/writers/segmentation.js";
import {
  type Canvas,
  drawBoxes,
  drawContours,
  drawImage,
  type OverlayImage,
  type OverlayLabels,
  PREDICTION,
  panels,
  TRUTH,
  toDisplay,
} from "./canvas.js";
import { cellColours } from "./cellColours.js";

export type { OverlayImage, OverlayLabels } from "./canvas.js";

const SMALLEST_PANEL = 512;

/**
 * Writes one PNG of panels side by side: the image, the image with the true outlines (where `truth` is given), and the image
 * with the predicted outlines. Images below 512 px are enlarged by a whole factor. @throws RangeError for labels of another
 * size
 */
export async function writeOverlay(
  path: string,
  image: OverlayImage,
  truth: OverlayLabels | undefined,
  prediction: OverlayLabels,
): Promise<void> {
  const { height, width, scale } = sizeOf(image, [truth, prediction]);
  const layers = [undefined, ...(truth ? [{ labels: truth, colour: TRUTH }] : []), { labels: prediction, colour: PREDICTION }];
  const panel = { width: width * scale, height: height * scale };
  const { canvas, lefts } = panels(layers.length, panel.width, panel.height);
  const shown = toDisplay(image);
  layers.forEach((layer, i) => {
    const left = lefts[i] as number;
    drawImage(canvas, left, shown, width, scale, panel);
    if (layer) {
      drawBoxes(canvas, left, layer.labels, scale, layer.colour);
      drawContours(canvas, left, layer.labels, scale, layer.colour);
    }
  });
  await writeCanvas(path, canvas);
}

/**
 * Writes one PNG: the image, displayed from its 0.1st to its 99.9th percentile, with the outline of every cell inside its edge.
 * Cells that touch, or nearly do, have different colours. Images below 512 px are enlarged by a whole factor.
 * @throws RangeError for labels of another size
 */
export async function writeOutlines(path: string, image: OverlayImage, { data, shape }: LabelArray): Promise<void> {
  const labels: OverlayLabels = { data, shape: [shape[0] ?? 0, shape[1] ?? 0] };
  const { height, width, scale } = sizeOf(image, [labels]);
  const panel = { width: width * scale, height: height * scale };
  let shown = toDisplay(image);
  if (scale > 1) {
    const { canvas } = panels(1, panel.width, panel.height);
    drawImage(canvas, 0, shown, width, scale, panel);
    shown = canvas.data;
  }
  const canvas = { ...panel, data: shown };
  drawContours(canvas, 0, labels, scale, cellColours(labels), Math.min(scale, Math.max(2, Math.round(scale / 2))));
  await writeCanvas(path, canvas);
}

/** Height and width of the image, and the factor by which it is enlarged. */
function sizeOf({ shape: [height = 0, width = 0] }: OverlayImage, layers: readonly (OverlayLabels | undefined)[]) {
  for (const labels of layers) {
    if (labels && (labels.shape[0] !== height || labels.shape[1] !== width)) {
      throw new RangeError(`labels of ${labels.shape.join(" x ")} do not fit an image of ${height} x ${width}`);
    }
  }
  return { height, width, scale: Math.max(1, Math.ceil(SMALLEST_PANEL / Math.max(height, width))) };
}

/** Writes a finished canvas as PNG. */
export function writeCanvas(path: string, { data, height, width }: Canvas): Promise<void> {
  return writeRgbPng(path, data, height, width);
}
