/** Tiles of cell ids, and the pictures and borders made of them. */
import type { Bounds, ImageView, Layer } from "../../api.js";
import { labelTile } from "../api/client.js";
import { type CellColours, colourOfId, colours } from "./cellColours.js";
import { borders, type LabelTile, paint, pixelOf, type Segment } from "./labelTile.js";
import { TileCache } from "./tileCache.js";
import { areaOfTile, overlap, type Pyramid, type TileAt } from "./tiles.js";

export interface PaintedTile extends LabelTile {
  areas: OffscreenCanvas;
  outlines: OffscreenCanvas;
  /** Borders by the colour of the cell inside, made when the view is near enough to need them. */
  lines?: Path2D[];
}

const PARALLEL = 2;
/** Tiles in memory, 3 MB each. */
const LEAST = 30;
const pixels = colours.map(pixelOf);

export class LabelTiles {
  readonly #cache: TileCache<PaintedTile>;
  /** The colours of each layer's cells. */
  colours: Record<Layer, CellColours> | null = null;

  constructor(onChange: () => void) {
    this.#cache = new TileCache(PARALLEL, onChange);
  }

  want(view: ImageView, which: Layer, tiles: readonly TileAt[]): void {
    const wanted = tiles.map((tile) => ({
      key: keyOf(view.id, which, tile),
      load: (signal: AbortSignal) => this.#load(view, which, tile, signal),
    }));
    this.#cache.want(wanted, LEAST);
  }

  get(image: number, which: Layer, tile: TileAt): PaintedTile | undefined {
    return this.#cache.get(keyOf(image, which, tile));
  }

  isFresh(image: number, which: Layer, tile: TileAt): boolean {
    return this.#cache.isFresh(keyOf(image, which, tile));
  }

  /** The labels changed within the bounds; null is everywhere, and in all layers. */
  invalidate(image: number, pyramid: Pyramid, bounds: Bounds | null): void {
    this.#cache.invalidate((key) => {
      const [of, which, ...at] = key.split("/");
      const [level = 0, x = 0, y = 0] = at.map(Number);
      if (Number(of) !== image) return false;
      return !bounds || (which === "labels" && overlap(areaOfTile({ level, x, y }, pyramid), bounds));
    });
  }

  async #load(view: ImageView, which: Layer, at: TileAt, signal: AbortSignal): Promise<PaintedTile> {
    const ids = await labelTile(view.id, which, `${at.level}/${at.x}/${at.y}`, signal);
    const size = view.levels[at.level];
    const width = Math.min(view.tileSize, (size?.width ?? 0) - at.x * view.tileSize);
    return painted({ ids, width, height: ids.length / width }, this.#colours(which));
  }

  #colours(which: Layer): (id: number) => number {
    const known = this.colours?.[which];
    return (id) => known?.of(id) ?? colourOfId(id);
  }

  /** The borders of a tile's cells for each colour, in pixels of the tile. */
  lines(tile: PaintedTile, which: Layer): Path2D[] {
    tile.lines ??= borders(tile, colours.length, this.#colours(which)).map(pathOf);
    return tile.lines;
  }
}

function keyOf(image: number, which: Layer, { level, x, y }: TileAt): string {
  return `${image}/${which}/${level}/${x}/${y}`;
}

function painted(tile: LabelTile, colourOf: (id: number) => number): PaintedTile {
  const { width, height } = tile;
  const [areas, outlines] = [new ImageData(width, height), new ImageData(width, height)];
  const colour = (id: number) => pixels[colourOf(id)] as number;
  paint(tile, colour, new Uint32Array(areas.data.buffer), new Uint32Array(outlines.data.buffer));
  return { ...tile, areas: canvasOf(areas), outlines: canvasOf(outlines) };
}

function canvasOf(picture: ImageData): OffscreenCanvas {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(picture, 0, 0);
  return canvas;
}

export function pathOf(segments: readonly Segment[]): Path2D {
  const path = new Path2D();
  for (const [x0, y0, x1, y1] of segments) {
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  }
  return path;
}
