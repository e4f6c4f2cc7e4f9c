/** Tiles of the image's pixels, with contrast and colours as they are chosen. */
import type { ImageView } from "../../api.js";
import { pixelTile } from "../api/client.js";
import { type ChannelDisplay, lookup, mix, PLANES, type Range } from "./contrast.js";
import { TileCache } from "./tileCache.js";
import type { TileAt } from "./tiles.js";

interface PixelTile {
  /** RGBA of each three channels. */
  pictures: Uint8ClampedArray<ArrayBuffer>[];
  /** What bytes 0 and 255 of each channel stand for. */
  sent: Range[];
  canvas: OffscreenCanvas;
  /** The channels that the canvas shows. */
  shown: readonly ChannelDisplay[] | null;
}

/** Milliseconds for which a contrast must stay, until tiles are loaded that have all its grey values. */
const REST = 250;
const PARALLEL = 3;
/** Tiles in memory, 2 MB each. */
const LEAST = 40;

export class PixelTiles {
  readonly #cache: TileCache<PixelTile>;
  #channels: readonly ChannelDisplay[] = [];
  /** The contrast that tiles are asked for with. */
  #ranges: readonly Range[] = [];
  #resting: ReturnType<typeof setTimeout> | undefined;

  constructor(onChange: () => void) {
    this.#cache = new TileCache(PARALLEL, onChange);
  }

  setChannels(channels: readonly ChannelDisplay[]): void {
    const first = this.#ranges.length !== channels.length;
    this.#channels = channels;
    clearTimeout(this.#resting);
    if (first) this.#ranges = channels;
    else this.#resting = setTimeout(() => this.#refresh(), REST);
  }

  want(view: ImageView, tiles: readonly TileAt[]): void {
    const wanted = tiles.map((tile) => ({
      key: keyOf(view.id, tile),
      load: (signal: AbortSignal) => this.#load(view, tile, signal),
    }));
    this.#cache.want(wanted, LEAST);
  }

  /** The picture of a tile, if it is there. */
  get(image: number, at: TileAt): OffscreenCanvas | undefined {
    const tile = this.#cache.get(keyOf(image, at));
    if (tile && tile.shown !== this.#channels) this.#paint(tile);
    return tile?.canvas;
  }

  isFresh(image: number, at: TileAt): boolean {
    return this.#cache.isFresh(keyOf(image, at));
  }

  /** Tiles whose grey values are of a range that is no longer shown are loaded again. */
  #refresh(): void {
    const same = this.#channels.every(({ low, high }, i) => this.#ranges[i]?.low === low && this.#ranges[i]?.high === high);
    if (same) return;
    this.#ranges = this.#channels;
    this.#cache.invalidate(() => true);
  }

  async #load({ id, channels }: ImageView, { level, x, y }: TileAt, signal: AbortSignal): Promise<PixelTile> {
    const sent = channels.map((_, i) => this.#ranges[i] as Range);
    const groups = [];
    for (let first = 0; first < sent.length; first += PLANES) {
      groups.push(sent.slice(first, first + PLANES).map(({ low, high }, i) => ({ index: first + i, low, high })));
    }
    const decoded = await Promise.all(
      groups.map(async (group) => pixelsOf(await pixelTile(id, `${level}/${x}/${y}`, group, signal))),
    );
    const { width = 1, height = 1 } = decoded[0] ?? {};
    const canvas = new OffscreenCanvas(width, height);
    return { pictures: decoded.map(({ data }) => data as Uint8ClampedArray<ArrayBuffer>), sent, canvas, shown: null };
  }

  #paint(tile: PixelTile): void {
    const { width, height } = tile.canvas;
    const picture = new ImageData(width, height);
    const tables = this.#channels.map((channel, i) => lookup(channel, tile.sent[i] ?? channel));
    mix(tile.pictures, tables, picture.data);
    tile.canvas.getContext("2d")?.putImageData(picture, 0, 0);
    tile.shown = this.#channels;
  }
}

function keyOf(image: number, { level, x, y }: TileAt): string {
  return `${image}/${level}/${x}/${y}`;
}

let scratch: OffscreenCanvas | undefined;

async function pixelsOf(picture: Blob): Promise<ImageData> {
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  scratch ??= new OffscreenCanvas(1, 1);
  if (scratch.width < width || scratch.height < height) [scratch.width, scratch.height] = [width, height];
  const context = scratch.getContext("2d", { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}
