/** The images of the data folder, and the user's masks of them. */
import { basename } from "node:path";
import { type DiscoverOptions, discover, type Pair } from "../data/discover.js";
import type { NdImage } from "../data/image.js";
import { pairImage, pairLabels, type ReadingOptions } from "../data/pair.js";
import { CellsamError, failureOf } from "../errors.js";

export interface StudioImage {
  /** From 1. */
  id: number;
  /** The file's name. */
  file: string;
  /** Without extension: what the files of its labels are named after. */
  name: string;
  path: string;
  /** The user's own masks. */
  mask: Pair | null;
}

/** What is known of an image's file once it was read. */
export interface ImageFacts {
  width: number;
  height: number;
  channels: number;
}

export class ImageList {
  readonly images: readonly StudioImage[];
  /** Files of the folder that are not used, and why, a sentence each. */
  readonly notes: readonly string[];
  readonly #reading: ReadingOptions;
  readonly #facts = new Map<number, ImageFacts | { problem: string }>();
  readonly #underway = new Map<number, Promise<NdImage>>();

  private constructor(images: readonly StudioImage[], notes: readonly string[], reading: ReadingOptions) {
    this.images = images;
    this.notes = notes;
    this.#reading = reading;
  }

  /**
   * @throws CellsamError ERR_NO_DATA without an image, ERR_PATH for a folder that cannot be listed; for masks of other images
   * too
   */
  static async of(data: string, masks: string | null, reading: ReadingOptions): Promise<ImageList> {
    // Masks beside the images are no images: with one folder for both they are told apart by their names.
    const options: DiscoverOptions = { imgPath: data, binaryMasks: reading.binaryMasks ?? false };
    const alone = await discover(masks === null ? options : { ...options, maskPath: masks });
    const listed = masks === null ? alone : await discover(options);
    const masked = new Map(alone.pairs.filter(({ mask }) => mask !== undefined).map((pair) => [pair.source, pair]));
    const usedAsMasks = new Set([...masked.values()].map(({ mask }) => mask));
    const images = listed.pairs
      .filter(({ image }) => !usedAsMasks.has(image))
      .map(({ image, source }, i) => ({
        ...{ id: i + 1, file: basename(image), name: source, path: image },
        mask: masked.get(source) ?? null,
      }));
    const [problem] = listed.problems;
    if (images.length === 0 && problem)
      throw new CellsamError(problem.code, `${problem.path} ${problem.message}: ${problem.fix}`, {
        detail: { path: problem.path },
      });
    const [unpaired] = alone.problems;
    if (masks !== null && masked.size === 0 && unpaired) {
      const message = `no mask in ${masks} belongs to an image of ${data}: ${unpaired.path} ${unpaired.message}; ${unpaired.fix}`;
      throw new CellsamError(unpaired.code, message, { detail: { path: unpaired.path } });
    }
    const notes = listed.problems.map(({ path, message }) => `${basename(path)} is left out: it ${message}`);
    return new ImageList(images, notes, reading);
  }

  /** @throws CellsamError ERR_NOT_FOUND */
  get(id: number): StudioImage {
    const image = this.images[id - 1];
    if (!image) throw new CellsamError("ERR_NOT_FOUND", `there is no image ${id}; there are ${this.images.length}`);
    return image;
  }

  /** The pixels, unscaled; calls at the same time share one reading of the file. @throws CellsamError as decodeImage */
  read(image: StudioImage): Promise<NdImage> {
    const under = this.#underway.get(image.id);
    if (under) return under;
    const reading = this.#readFile(image).finally(() => this.#underway.delete(image.id));
    this.#underway.set(image.id, reading);
    return reading;
  }

  async #readFile(image: StudioImage): Promise<NdImage> {
    try {
      const read = await pairImage({ image: image.path }, this.#reading);
      const [height, width, channels = 1] = read.shape;
      this.#facts.set(image.id, { width, height, channels });
      return read;
    } catch (error) {
      this.#facts.set(image.id, { problem: failureOf(error).message });
      throw error;
    }
  }

  /** The user's masks [H,W]; null without any. @throws CellsamError as decodeLabels */
  async ownMasks({ mask }: StudioImage, size: { width: number; height: number }): Promise<Int32Array | null> {
    return mask && (await pairLabels({ ...mask, ...size }, this.#reading)).data;
  }

  /** What was found when the image was last read; undefined before. */
  facts({ id }: StudioImage): ImageFacts | { problem: string } | undefined {
    return this.#facts.get(id);
  }
}
