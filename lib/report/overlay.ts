/**
 * Writes pictures of predictions: the image, and the image with the outlines and boxes of true (green) and predicted (red)
 * cells.
 */
import { writeRgbPng } from "../data/write.js";
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
  const [height = 0, width = 0] = image.shape;
  for (const labels of [truth, prediction]) {
    if (labels && (labels.shape[0] !== height || labels.shape[1] !== width)) {
      throw new RangeError(`labels of ${labels.shape.join(" x ")} do not fit an image of ${height} x ${width}`);
    }
  }
  const scale = Math.max(1, Math.ceil(SMALLEST_PANEL / Math.max(height, width)));
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

/** Writes a finished canvas as PNG. */
export function writeCanvas(path: string, { data, height, width }: Canvas): Promise<void> {
  return writeRgbPng(path, data, height, width);
}
