/** The canvas on which the open image is shown: its camera, its tiles, and the frames that are drawn of them. */
import { select as selection } from "d3-selection";
import { type D3ZoomEvent, type ZoomBehavior, zoom, zoomIdentity } from "d3-zoom";
import type { Bounds, ImageView } from "../../api.js";
import { drawings, settle } from "../state/drawings.js";
import { cellColours, changed, channels, selected, view } from "../state/image.js";
import { prompt, proposal } from "../state/proposal.js";
import { areasShown, layer, opacity, outlinesShown } from "../state/settings.js";
import { type Camera, centred, fitted, MOST_ZOOM, type Size, toImage, towards, visible } from "./camera.js";
import { LabelTiles } from "./labelTiles.js";
import { drawCrosshair, drawOutline, drawPrompt } from "./marks.js";
import { PixelTiles } from "./pixelTiles.js";
import { drawImageTiles, drawLabelTiles, type Scene } from "./scene.js";
import { levelFor, type TileAt, tilesIn } from "./tiles.js";

type Point = readonly [number, number];
type Context = CanvasRenderingContext2D;

/** A fitted image may be made this much smaller. */
const SMALLER = 0.5;
/** Movement in pixels up to which a press is a click. */
export const CLICK = 4;
/** A small area is not shown larger than that. */
const NEAR = 2;
/** Pixels between a crosshair and the canvas' edge. */
const MARGIN = 40;

export class Viewer {
  /** In CSS pixels. */
  camera: Camera = { x: 0, y: 0, scale: 1 };
  /** The crosshair of the keyboard, in the image; null while the pointer is used. */
  crosshair: Point | null = null;
  /** Whether a gesture moves the view; otherwise it is the tool's. */
  moves: (event: MouseEvent | TouchEvent) => boolean = () => true;
  /** Draws the tool's marks; the context's unit is a pixel of the image. */
  drawTool: (context: Context, pixel: number) => void = () => undefined;
  onCamera: (camera: Camera) => void = () => undefined;

  readonly #context: Context;
  readonly #zoom: ZoomBehavior<HTMLCanvasElement, unknown>;
  readonly #pixels = new PixelTiles(() => this.requestFrame());
  readonly #labels = new LabelTiles(() => this.requestFrame());
  #frame = 0;
  #shown: number | null = null;
  /** The whole image is shown, and stays so when the window gets another size. */
  #fits = false;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.#context = canvas.getContext("2d") as Context;
    this.#zoom = zoom<HTMLCanvasElement, unknown>()
      .filter((event: MouseEvent | TouchEvent) => this.moves(event))
      .clickDistance(CLICK)
      .constrain((transform) => this.#held(transform))
      .on("zoom", ({ transform: { x, y, k }, sourceEvent }: D3ZoomEvent<HTMLCanvasElement, unknown>) => {
        if (sourceEvent) this.#fits = false;
        this.camera = { x, y, scale: k };
        this.onCamera(this.camera);
        this.requestFrame();
      });
    selection(canvas).call(this.#zoom).on("dblclick.zoom", null);
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** CSS pixels. */
  get size(): Size {
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
  }

  /** Reads the signals that a frame depends on, so that an effect that calls this one is run when one of them changes. */
  follow(): void {
    const image = view.value;
    this.#pixels.setChannels(channels.value);
    this.#labels.colours = cellColours.value;
    void [layer.value, areasShown.value, outlinesShown.value, opacity.value, selected.value, proposal.value, prompt.value];
    void drawings.value;
    if (image && image.id !== this.#shown) {
      this.#shown = image.id;
      this.crosshair = null;
      this.fit();
    }
    this.requestFrame();
  }

  /** Follows changes of the labels. */
  followLabels(): void {
    const { bounds } = changed.value;
    const image = view.peek();
    if (image) this.#labels.invalidate(image.id, image, bounds);
  }

  fit(): void {
    const image = view.peek();
    if (!image || this.size.width === 0) return;
    const camera = fitted(image, this.size);
    this.#zoom.scaleExtent([camera.scale * SMALLER, Math.max(MOST_ZOOM, camera.scale)]);
    this.#moveTo(camera);
    this.#fits = true;
  }

  zoomBy(factor: number): void {
    this.#fits = false;
    selection(this.canvas).call(this.#zoom.scaleBy, factor, this.crosshair ? this.#atCrosshair() : undefined);
  }

  /** One pixel of the image for each of the page. */
  actualSize(): void {
    const { width, height } = this.size;
    this.#moveTo(centred(this.crosshair ?? toImage(this.camera, [width / 2, height / 2]), 1, this.size));
  }

  /** Shows an area: where it cannot be seen well, in the middle, with what is around it. */
  showArea(area: Bounds): void {
    const { width, height } = this.size;
    const [x0, y0, x1, y1] = area;
    const filling = Math.min(width / (x1 - x0), height / (y1 - y0));
    const least = Math.min(filling / 8, NEAR);
    const scale = Math.max(least, Math.min(this.camera.scale, filling / 3));
    const [left, top, right, bottom] = visible(this.camera, this.size);
    const seen = x0 >= left && y0 >= top && x1 <= right && y1 <= bottom;
    if (!seen || scale !== this.camera.scale) this.#moveTo(centred([(x0 + x1) / 2, (y0 + y1) / 2], scale, this.size));
  }

  /** Puts the crosshair at a point of the image, and moves the image where the point would not be seen. */
  putCrosshair(point: Point): void {
    this.crosshair = point;
    const [dx, dy] = towards(this.camera, point, this.size, MARGIN);
    if (dx !== 0 || dy !== 0) this.#moveTo({ ...this.camera, x: this.camera.x + dx, y: this.camera.y + dy });
    this.requestFrame();
  }

  /** The cell at a point of the image, in the layer that is shown; 0 is none. */
  cellAt([x, y]: Point): number {
    const image = view.peek();
    if (!image || x < 0 || y < 0 || x >= image.width || y >= image.height) return 0;
    const at = (level: number): TileAt => {
      const side = image.tileSize * 2 ** level;
      return { level, x: Math.floor(x / side), y: Math.floor(y / side) };
    };
    const candidates = image.levels.map((_, level) => at(level));
    const tile =
      candidates.find((candidate) => this.#labels.isFresh(image.id, layer.peek(), candidate)) ??
      candidates.find((candidate) => this.#labels.get(image.id, layer.peek(), candidate));
    const ids = tile && this.#labels.get(image.id, layer.peek(), tile);
    if (!ids) return 0;
    const column = Math.floor(x / 2 ** tile.level) - tile.x * image.tileSize;
    const row = Math.floor(y / 2 ** tile.level) - tile.y * image.tileSize;
    return ids.ids[row * ids.width + column] ?? 0;
  }

  /** The point of the image under a pointer. */
  pointAt({ clientX, clientY }: { clientX: number; clientY: number }): [number, number] {
    const { left, top } = this.canvas.getBoundingClientRect();
    return toImage(this.camera, [clientX - left, clientY - top]);
  }

  requestFrame(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #atCrosshair(): [number, number] {
    const [x, y] = this.crosshair ?? [0, 0];
    return [this.camera.x + this.camera.scale * x, this.camera.y + this.camera.scale * y];
  }

  #moveTo({ x, y, scale }: Camera): void {
    this.#fits = false;
    selection(this.canvas).call(this.#zoom.transform, zoomIdentity.translate(x, y).scale(scale));
  }

  /** The middle of the canvas stays on the image. */
  #held(transform: typeof zoomIdentity): typeof zoomIdentity {
    const image = view.peek();
    if (!image) return transform;
    const { width, height } = this.size;
    const { x, y, k } = transform;
    const held = (at: number, canvas: number, length: number) => Math.max(canvas / 2 - k * length, Math.min(canvas / 2, at));
    return zoomIdentity.translate(held(x, width, image.width), held(y, height, image.height)).scale(k);
  }

  #resize(): void {
    const { width, height } = this.size;
    const before = { width: this.canvas.width / devicePixelRatio, height: this.canvas.height / devicePixelRatio };
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    const { x, y, scale } = this.camera;
    if (this.#shown === null || before.width === 0 || this.#fits) this.fit();
    else this.#moveTo({ scale, x: x + (width - before.width) / 2, y: y + (height - before.height) / 2 });
    // At once: a canvas of a new size is empty.
    this.#draw();
  }

  #draw(): void {
    const image = view.peek();
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!image || this.canvas.width === 0) return;
    const scene = this.#scene(image);
    this.#pixels.want(image, withCoarsest(scene.tiles, image));
    const labelled = areasShown.peek() || outlinesShown.peek();
    if (labelled) this.#labels.want(image, scene.layer, withCoarsest(scene.tiles, image));
    drawImageTiles(context, scene, this.#pixels);
    if (labelled) drawLabelTiles(context, scene, this.#labels);
    const { x, y, scale } = scene.camera;
    context.setTransform(scale, 0, 0, scale, x, y);
    this.#drawMarks(context, devicePixelRatio / scale);
    settle((bounds) => !labelled || this.#labelsAreFresh(bounds, scene));
  }

  #scene(image: ImageView): Scene {
    const ratio = devicePixelRatio;
    const camera = { x: this.camera.x * ratio, y: this.camera.y * ratio, scale: this.camera.scale * ratio };
    const tiles = tilesIn(visible(this.camera, this.size), levelFor(camera.scale, image.levels.length), image);
    return {
      view: image,
      camera,
      tiles,
      layer: layer.peek(),
      areas: areasShown.peek(),
      outlines: outlinesShown.peek(),
      opacity: opacity.peek(),
      selected: selected.peek(),
    };
  }

  #drawMarks(context: Context, pixel: number): void {
    for (const drawing of drawings.peek()) drawing.draw(context, pixel);
    const proposed = proposal.peek();
    if (proposed) drawOutline(context, proposed.outline, pixel);
    drawPrompt(context, prompt.peek(), pixel);
    this.drawTool(context, pixel);
    if (this.crosshair) drawCrosshair(context, this.crosshair, pixel);
  }

  /** Whether the labels on the screen are the newest there. */
  #labelsAreFresh(bounds: Bounds, { view: image, tiles, layer: shown }: Scene): boolean {
    const level = tiles[0]?.level ?? 0;
    const seen = new Set(tiles.map(({ x, y }) => `${x}/${y}`));
    return tilesIn(bounds, level, image)
      .filter(({ x, y }) => seen.has(`${x}/${y}`))
      .every((tile) => shown !== "labels" || this.#labels.isFresh(image.id, shown, tile));
  }
}

/** With the tile that shows the whole image, which stands in for those that are not there yet. */
function withCoarsest(tiles: readonly TileAt[], { levels }: ImageView): TileAt[] {
  const coarsest = { level: levels.length - 1, x: 0, y: 0 };
  return tiles.some(({ level }) => level === coarsest.level) ? [...tiles] : [coarsest, ...tiles];
}
