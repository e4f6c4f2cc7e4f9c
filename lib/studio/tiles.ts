/** Tiles of 512 pixels, as the page draws them: pictures with contrast and colours, and raw labels. */
import type sharp from "sharp";
import { lazily } from "../lazily.js";
import type { LabelMap } from "./labelMap.js";
import { type Level, tileSize } from "./pyramid.js";

const imaging = lazily<typeof sharp>("sharp");

/** How one channel is shown: values from `low` to `high` go from black to the colour (r, g, b). */
export interface Shown {
  channel: number;
  low: number;
  high: number;
  color: readonly [number, number, number];
}

interface Window {
  x0: number;
  y0: number;
  width: number;
  height: number;
}

/** The part of a level that a tile shows; null where the level has no such tile. */
function windowOf({ width, height }: { width: number; height: number }, column: number, row: number): Window | null {
  const [x0, y0] = [column * tileSize, row * tileSize];
  if (x0 >= width || y0 >= height) return null;
  return { x0, y0, width: Math.min(tileSize, width - x0), height: Math.min(tileSize, height - y0) };
}

/** A picture of a tile; the colours of the channels are added. null where there is no such tile. */
export async function pixelTile(
  level: Level,
  channels: number,
  [column, row]: readonly [number, number],
  shown: readonly Shown[],
  format: "png" | "webp",
): Promise<Buffer | null> {
  const window = windowOf(level, column, row);
  if (!window) return null;
  const { x0, y0, width, height } = window;
  const colours = new Uint8ClampedArray(width * height * 3);
  for (const { channel, low, high, color } of shown) {
    const scale = color.map((part) => part / Math.max(high - low, Number.MIN_VALUE));
    const [red = 0, green = 0, blue = 0] = scale;
    for (let y = 0, to = 0; y < height; y++) {
      let from = ((y0 + y) * level.width + x0) * channels + channel;
      for (let x = 0; x < width; x++, from += channels, to += 3) {
        const value = Math.min(Math.max(level.data[from] as number, low), high) - low;
        colours[to] = (colours[to] as number) + value * red;
        colours[to + 1] = (colours[to + 1] as number) + value * green;
        colours[to + 2] = (colours[to + 2] as number) + value * blue;
      }
    }
  }
  const picture = imaging()(colours, { raw: { width, height, channels: 3 } });
  return (format === "png" ? picture.png({ compressionLevel: 2 }) : picture.webp({ quality: 90, effort: 0 })).toBuffer();
}

/**
 * The ids of a tile, as 32-bit little-endian numbers row by row: those at the middle of the pixels that one of the level stands
 * for. null where there is no such tile.
 */
export function labelTile(
  { data, width, height }: Pick<LabelMap, "data" | "width" | "height">,
  number: number,
  [column, row]: readonly [number, number],
): Buffer | null {
  const step = 2 ** number;
  // The level before it fits into one tile already.
  if (number > 0 && Math.max(width, height) <= (tileSize * step) / 2) return null;
  const window = windowOf({ width: Math.ceil(width / step), height: Math.ceil(height / step) }, column, row);
  if (!window) return null;
  const middle = Math.floor(step / 2);
  const ids = new Uint32Array(window.width * window.height);
  for (let y = 0, to = 0; y < window.height; y++) {
    const line = Math.min((window.y0 + y) * step + middle, height - 1) * width;
    for (let x = 0; x < window.width; x++)
      ids[to++] = data[line + Math.min((window.x0 + x) * step + middle, width - 1)] as number;
  }
  return Buffer.from(ids.buffer);
}
