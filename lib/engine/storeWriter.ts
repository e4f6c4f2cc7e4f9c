/** Writes a store of tiles: what sessions train on. */
import { CommandSession } from "./commandSession.js";
import { toBorder } from "./names.js";
import { type NdArray, openNative } from "./native.js";
import type { ImageArray, PixelOptions } from "./session.js";

export interface StoreWriterOptions extends PixelOptions {
  path: string;
  tileSize?: number;
  overlap?: number;
  minFragmentArea?: number;
}

export interface StoreImage {
  image: ImageArray;
  /** Instance ids, 0 is background, -1 marks pixels that training leaves out, [H,W]. */
  labels?: NdArray<Int32Array>;
  /** Identifies the source image; tiles of one source never part in a split. */
  source: string;
}

/** Nothing is visible under `path` before `finish`; `dispose` without it removes the temporary file. */
export interface StoreWriter extends AsyncDisposable, Disposable {
  /** `first` is the number of the image's first tile in the store. */
  add(image: StoreImage): Promise<{ tiles: number; first: number; instances: number }>;
  finish(): Promise<{ tiles: number; images: number; bytes: number; path: string }>;
  dispose(): Promise<void>;
}

/** Opens a store of tiles for writing. */
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
