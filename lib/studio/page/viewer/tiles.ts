/** Which tiles of an image's pyramid a view needs. */
import type { Bounds, ImageView } from "../../api.js";

/** The size of an image and of its pyramid. */
export type Pyramid = Pick<ImageView, "width" | "height" | "tileSize" | "levels">;

export interface TileAt {
  level: number;
  x: number;
  y: number;
}

/** Levels are a little coarser than one pixel of theirs for each of the screen: a third of the tiles, and no eye sees it. */
const COARSER = 0.3;

/** The level to draw at `scale` screen pixels for a pixel of the image. */
export function levelFor(scale: number, levels: number): number {
  return Math.max(0, Math.min(levels - 1, Math.floor(Math.log2(1 / scale) + COARSER)));
}

/** The tiles of `level` that `area` of the image touches, those nearest its middle first. */
export function tilesIn(area: Bounds, level: number, pyramid: Pyramid): TileAt[] {
  const { columns = 1, rows = 1 } = pyramid.levels[level] ?? {};
  const side = pyramid.tileSize * 2 ** level;
  const [left, right] = [Math.max(0, Math.floor(area[0] / side)), Math.min(columns, Math.ceil(area[2] / side))];
  const [top, bottom] = [Math.max(0, Math.floor(area[1] / side)), Math.min(rows, Math.ceil(area[3] / side))];
  const tiles: TileAt[] = [];
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) tiles.push({ level, x, y });
  const [middleX, middleY] = [(area[0] + area[2]) / 2 / side - 0.5, (area[1] + area[3]) / 2 / side - 0.5];
  const distance = ({ x, y }: TileAt) => (x - middleX) ** 2 + (y - middleY) ** 2;
  return tiles.sort((a, b) => distance(a) - distance(b));
}

/** The part of the image that a tile shows, cut at its right and lower edge. */
export function areaOfTile({ level, x, y }: TileAt, { width, height, tileSize }: Pyramid): Bounds {
  const side = tileSize * 2 ** level;
  return [x * side, y * side, Math.min(width, (x + 1) * side), Math.min(height, (y + 1) * side)];
}

/** The tile of the next coarser level that contains this one. */
export function parentOf({ level, x, y }: TileAt): TileAt {
  return { level: level + 1, x: x >> 1, y: y >> 1 };
}

/** Whether two areas have a pixel in common. */
export function overlap(a: Bounds, b: Bounds): boolean {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}
