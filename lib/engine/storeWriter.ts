/** Writes a store: the file of tiles that sessions train on. */
import { CommandSession } from "./commandSession.js";
import { toBorder } from "./names.js";
import { type NdArray, openNative } from "./native.js";
import type { ImageArray, PixelOptions } from "./session.js";

export interface StoreWriterOptions extends PixelOptions {
  /** Of the file to write. */
  path: string;
  /** Side of the square tiles in pixels. */
  tileSize?: number;
  /** Share of a tile that it has in common with the next one. */
  overlap?: number;
  /** Pixels below which a piece of a cell cut by a tile's edge is dropped. */
  minFragmentArea?: number;
}

export interface StoreImage {
  image: ImageArray;
  /** Cell ids [H,W]: 0 is background, -1 marks pixels that training ignores. */
  labels?: NdArray<Int32Array>;
  /** Name of the source image; all of its tiles are on one side of a split. */
  source: string;
}

/** Nothing is visible under `path` before `finish`; `dispose` without it removes the temporary file. */
export interface StoreWriter extends AsyncDisposable, Disposable {
  /** Cuts an image into tiles and adds them. `first` is the number of its first tile in the store. */
  add(image: StoreImage): Promise<{ tiles: number; first: number; instances: number }>;
  finish(): Promise<{ tiles: number; images: number; bytes: number; path: string }>;
  dispose(): Promise<void>;
}

/** Opens a store for writing. @throws CellsamError ERR_INVALID_ARGUMENT, ERR_FILE */
export async function openStoreWriter(options: StoreWriterOptions): Promise<StoreWriter> {
  return new TileStoreWriter(await openNative({ kind: "store_writer", ...toBorder(options) }));
}

class TileStoreWriter extends CommandSession implements StoreWriter {
  add(image: StoreImage): Promise<{ tiles: number; first: number; instances: number }> {
    return this.command("add", { ...image });
  }

  finish(): Promise<{ tiles: number; images: number; bytes: number; path: string }> {
    return this.command("finish");
  }
}
