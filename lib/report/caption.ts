/** Captions below the panels of a picture. */
import type { Canvas, Colour } from "./canvas.js";
import { escapeXml } from "./charts.js";
import { svgPixels, textWidth } from "./rasterize.js";

export interface Caption {
  /** Pixels from the canvas's left edge. */
  left: number;
  /** Width of the panel; a longer text is set smaller. */
  width: number;
  text: string;
  /** Colour of a square before the text. */
  colour?: Colour;
}

const height = 27;
const size = 15;
const margin = 6;

/** A taller canvas: the picture, and its captions below. */
export async function withCaptions(canvas: Canvas, captions: readonly Caption[]): Promise<Canvas> {
  const parts = await Promise.all(
    captions.map(async ({ left, width, text, colour }) => {
      const square = colour ? size + margin : 0;
      const available = width - 2 * margin - square;
      const fitted = size * Math.min(1, available / (await textWidth(text, size)));
      const top = (height - size) / 2;
      const mark = colour
        ? `<rect x="${left + margin}" y="${top}" width="${size}" height="${size}" fill="rgb(${colour.join()})"/>`
        : "";
      return `${mark}<text x="${left + margin + square}" y="${top + 0.8 * size}" font-size="${fitted}">${escapeXml(text)}</text>`;
    }),
  );
  const { width } = canvas;
  const band = await svgPixels(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" fill="currentColor">${parts.join("")}</svg>`,
  );
  const data = new Uint8Array(canvas.data.length + band.length);
  data.set(canvas.data);
  data.set(band, canvas.data.length);
  return { data, width, height: canvas.height + height };
}
