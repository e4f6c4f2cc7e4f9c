/** Draws one frame: tiles of the image, the cells over it, and what is being drawn. All sizes are pixels of the screen. */
import type { Bounds, ImageView, Layer } from "../../api.js";
import type { Camera } from "./camera.js";
import { colours } from "./cellColours.js";
import { borders } from "./labelTile.js";
import { type LabelTiles, type PaintedTile, pathOf } from "./labelTiles.js";
import type { PixelTiles } from "./pixelTiles.js";
import { areaOfTile, parentOf, type TileAt } from "./tiles.js";

export interface Scene {
  view: ImageView;
  /** In pixels of the screen. */
  camera: Camera;
  tiles: readonly TileAt[];
  layer: Layer;
  areas: boolean;
  outlines: boolean;
  opacity: number;
  selected: ReadonlySet<number>;
}

type Context = CanvasRenderingContext2D;

/** Pixels of the image are shown as squares from this size on, and smoothly below it. */
const SQUARES = 2;
/** Borders are lines of a constant width from this size of a tile's pixel on, and rows of pixels below it. */
const LINES = 2;
const LINE = 1.5;

export function drawImageTiles(context: Context, scene: Scene, pixels: PixelTiles): void {
  const { view, camera, tiles } = scene;
  for (const tile of tiles) {
    const source = (at: TileAt) => pixels.get(view.id, at);
    if (!source(tile)) drawAncestor(context, scene, tile, source);
    for (const at of source(tile) ? [tile] : childrenOf(tile)) {
      const picture = source(at);
      if (!picture) continue;
      context.imageSmoothingEnabled = camera.scale * 2 ** at.level < SQUARES;
      drawTile(context, scene, at, at, picture);
    }
  }
}

export function drawLabelTiles(context: Context, scene: Scene, labels: LabelTiles): void {
  const { view, camera, tiles, layer, areas, outlines, opacity } = scene;
  const near = (at: TileAt) => camera.scale * 2 ** at.level >= LINES;
  for (const tile of tiles) {
    const at = nearest(tile, view, (other) => labels.get(view.id, layer, other));
    const painted = at && labels.get(view.id, layer, at);
    if (!painted) continue;
    if (areas) {
      context.globalAlpha = opacity;
      context.imageSmoothingEnabled = false;
      drawTile(context, scene, tile, at, painted.areas);
    }
    context.globalAlpha = 1;
    if (outlines && !near(at)) {
      context.imageSmoothingEnabled = camera.scale * 2 ** at.level < 1;
      drawTile(context, scene, tile, at, painted.outlines);
    }
  }
  for (const at of tiles) {
    const painted = labels.get(view.id, layer, at);
    if (!painted) continue;
    if (outlines && near(at)) strokeLines(context, scene, at, labels.lines(painted, layer));
    if (scene.selected.size > 0 && layer === "labels") strokeSelected(context, scene, at, painted);
  }
}

/** The tile itself, or the nearest coarser one that contains it and is there. */
function nearest(tile: TileAt, { levels }: ImageView, get: (at: TileAt) => unknown): TileAt | undefined {
  for (let at = tile; at.level < levels.length; at = parentOf(at)) if (get(at)) return at;
  return undefined;
}

function drawAncestor(context: Context, scene: Scene, tile: TileAt, source: (at: TileAt) => OffscreenCanvas | undefined): void {
  const at = nearest(tile, scene.view, source);
  const picture = at && source(at);
  if (!picture) return;
  context.imageSmoothingEnabled = true;
  drawTile(context, scene, tile, at, picture);
}

function childrenOf({ level, x, y }: TileAt): TileAt[] {
  if (level === 0) return [];
  return [0, 1].flatMap((dy) => [0, 1].map((dx) => ({ level: level - 1, x: 2 * x + dx, y: 2 * y + dy })));
}

/**
 * Draws the area of a tile from the picture of another that contains it. Its edges are rounded to pixels of the screen, the
 * same for both tiles at an edge, so that no gap shows between them.
 */
function drawTile(context: Context, { view, camera }: Scene, tile: TileAt, of: TileAt, picture: OffscreenCanvas): void {
  const [x0, y0, x1, y1] = areaOfTile(tile, view);
  const [originX, originY] = areaOfTile(of, view);
  const size = 2 ** of.level;
  const [left, top, right, bottom] = onScreen(camera, [x0, y0, x1, y1]);
  if (right <= left || bottom <= top) return;
  const width = Math.min((x1 - x0) / size, picture.width);
  const height = Math.min((y1 - y0) / size, picture.height);
  context.drawImage(
    picture,
    (x0 - originX) / size,
    (y0 - originY) / size,
    width,
    height,
    left,
    top,
    right - left,
    bottom - top,
  );
}

function onScreen({ x, y, scale }: Camera, [x0, y0, x1, y1]: Bounds): Bounds {
  return [Math.round(x + scale * x0), Math.round(y + scale * y0), Math.round(x + scale * x1), Math.round(y + scale * y1)];
}

/** Makes a pixel of the tile the unit of the context. */
function inTile(context: Context, { view, camera }: Scene, at: TileAt, draw: (pixel: number) => void): void {
  const [x0, y0] = areaOfTile(at, view);
  const scale = camera.scale * 2 ** at.level;
  context.save();
  context.translate(camera.x + camera.scale * x0, camera.y + camera.scale * y0);
  context.scale(scale, scale);
  draw(1 / scale);
  context.restore();
}

function strokeLines(context: Context, scene: Scene, at: TileAt, lines: readonly Path2D[]): void {
  inTile(context, scene, at, (pixel) => {
    context.lineCap = "square";
    context.lineWidth = LINE * devicePixelRatio * pixel;
    lines.forEach((path, i) => {
      context.strokeStyle = colours[i] as string;
      context.stroke(path);
    });
  });
}

const selectedPaths = new WeakMap<PaintedTile, { selected: ReadonlySet<number>; path: Path2D }>();

function strokeSelected(context: Context, scene: Scene, at: TileAt, tile: PaintedTile): void {
  const { selected } = scene;
  const known = selectedPaths.get(tile);
  const path = known?.selected === selected ? known.path : pathOf(borders(tile, 1, (id) => (selected.has(id) ? 0 : -1)).flat());
  selectedPaths.set(tile, { selected, path });
  inTile(context, scene, at, (pixel) => {
    context.lineCap = "square";
    for (const [colour, width] of [
      ["rgba(0, 0, 0, 0.75)", 4.5],
      ["#ffffff", 2],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = width * devicePixelRatio * pixel;
      context.stroke(path);
    }
  });
}
