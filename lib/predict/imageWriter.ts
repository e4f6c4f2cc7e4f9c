/** Writes the files of one image after the other, and those that hold all images. */
import type { Pair } from "../data/discover.js";
import { pairImage, pairStored, type ReadingOptions } from "../data/pair.js";
import type { Segmentation } from "../data/writers/segmentation.js";
import type { ImageArray } from "../engine/session.js";
import { writeOutlines } from "../report/overlay.js";
import { type FolderWriter, folderFormat, imageFormat, type PredictionFormat } from "./formats.js";
import { ofImage } from "./imageError.js";
import type { ImageFile, PredictionFolder } from "./outputs.js";

export interface ImageTask {
  pair: Pair;
  /** The image's own files that are to be written. */
  missing: ImageFile[];
}

export class ImageWriter {
  readonly #folder: PredictionFolder;
  readonly #formats: readonly PredictionFormat[];
  readonly #reading: ReadingOptions;
  #shared: FolderWriter[] = [];

  constructor(folder: PredictionFolder, formats: readonly PredictionFormat[], reading: ReadingOptions) {
    this.#folder = folder;
    this.#formats = formats;
    this.#reading = reading;
  }

  get #measures(): boolean {
    return this.#formats.some((name) => folderFormat(name)?.measures);
  }

  /** Begins the files of all images. A table needs a column for every channel of any of them. */
  async begin(pairs: readonly Pair[]): Promise<void> {
    let channels = 0;
    if (this.#measures) {
      for (const pair of pairs) channels = Math.max(channels, (await pairStored(pair, this.#reading)).shape[2] ?? 1);
    }
    for (const { path, format } of this.#folder.shared) {
      const writer = await folderFormat(format)?.open(path, channels);
      if (writer) this.#shared.push(writer);
    }
  }

  async write({ pair, missing }: ImageTask, cells: Segmentation, image?: ImageArray): Promise<void> {
    try {
      const stored = this.#measures ? await pairStored(pair, this.#reading) : undefined;
      for (const { path, format } of missing) {
        if (format) await imageFormat(format)?.write(path, cells);
        else await writeOutlines(path, image ?? (await pairImage(pair, this.#reading)), cells.labels);
      }
      for (const writer of this.#shared) await writer.add(pair, cells, stored);
    } catch (cause) {
      throw ofImage(pair, cause);
    }
  }

  async commit(): Promise<void> {
    for (const writer of this.#shared) await writer.commit();
  }

  async discard(): Promise<void> {
    for (const writer of this.#shared) await writer.discard();
  }
}
