/** The files of a folder of predictions: their names, what may be written, and what an interrupted run has left. */
import { existsSync, realpathSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { decodeLabels } from "../data/decode.js";
import type { Pair } from "../data/discover.js";
import type { Segmentation } from "../data/writers/segmentation.js";
import type { Prediction } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import type { Parts } from "../files/parts.js";
import { sweepTemporaries } from "../files/temporaries.js";
import { folderFormat, imageFormat, type PredictionFormat } from "./formats.js";
import { RowFile } from "./rowFile.js";
import { type PredictedImage, readScores, writeScores } from "./scores.js";

/** What is done with files that exist: `refuse` them before anything is predicted, `replace` them, or `keep` them. */
export type Existing = "refuse" | "replace" | "keep";

/** A file of one image; without a format it is the overlay. */
export interface ImageFile {
  path: string;
  format?: PredictionFormat;
}

export class PredictionFolder {
  readonly #folder: string;
  readonly #formats: readonly PredictionFormat[];
  readonly #overlay: boolean;
  readonly #parts: Parts<PredictedImage>;
  readonly #isShard: boolean;
  readonly #rows: RowFile;
  /** Of shards: rows of images that are not complete yet, or that are summed up already. */
  readonly #held = new Map<string, PredictedImage>();

  /** @param isShard what is found goes into `parts`; what holds all images is made when all shards are done */
  constructor(
    folder: string,
    formats: readonly PredictionFormat[],
    overlay: boolean,
    parts: Parts<PredictedImage>,
    isShard = false,
  ) {
    this.#folder = folder;
    this.#formats = formats;
    this.#overlay = overlay;
    this.#parts = parts;
    this.#isShard = isShard;
    this.#rows = new RowFile(this.#journal);
  }

  /** The files of an image, in the order of the formats. */
  filesOf(source: string): ImageFile[] {
    const files: ImageFile[] = this.#formats.flatMap((format) => {
      const known = imageFormat(format);
      return known ? [{ path: join(this.#folder, `${source}${known.suffix}`), format }] : [];
    });
    if (this.#overlay) files.push({ path: join(this.#overlays, `${source}.png`) });
    return files;
  }

  /** The label image of an image, if there is one among its files. */
  labelsOf(source: string): string | null {
    return this.#labelImages(source)[0] ?? null;
  }

  /** A label image of an image that is there: one of its files, or the one of an earlier run. */
  async savedLabels(source: string): Promise<string | undefined> {
    const own = this.#labelImages(source).find((path) => existsSync(path));
    if (own) return own;
    const earlier = (await this.rowOf(source))?.labels;
    const path = earlier && join(this.#folder, basename(earlier));
    return path && existsSync(path) ? path : undefined;
  }

  #labelImages(source: string): string[] {
    return this.filesOf(source).flatMap(({ path, format }) => (format && imageFormat(format)?.labels ? [path] : []));
  }

  /** The files that hold all images, which a shard does not write. */
  get shared(): { path: string; format: PredictionFormat }[] {
    if (this.#isShard) return [];
    return this.#formats.flatMap((format) => {
      const known = folderFormat(format);
      return known ? [{ path: join(this.#folder, known.file), format }] : [];
    });
  }

  get #overlays(): string {
    return join(this.#folder, "overlays");
  }

  get #scores(): string {
    return join(this.#folder, "scores.json");
  }

  /** The rows of a run that goes on: a killed process leaves them. */
  get #journal(): string {
    return join(this.#folder, "scores.partial.jsonl");
  }

  /**
   * Checks all files before the first is written, and reads what an earlier run knows about its images.
   * @throws CellsamError ERR_CONFIG where an image would be replaced, ERR_OUTPUT_EXISTS
   */
  async check(pairs: readonly Pair[], existing: Existing): Promise<void> {
    const targets = pairs.flatMap(({ source }) => this.filesOf(source)).map(({ path }) => path);
    const shared = this.#isShard ? [] : [...this.shared.map(({ path }) => path), this.#scores];
    const inputs = new Set(pairs.map(({ image }) => real(image)));
    const taken = [...targets, ...shared].filter((path) => existsSync(path));
    const own = taken.find((path) => inputs.has(real(path)));
    if (own) {
      const message = `${own} is an image and would be replaced by its own prediction; choose another folder`;
      throw new CellsamError("ERR_CONFIG", message, { detail: { path: own } });
    }
    if (existing === "keep") await this.#remember(pairs);
    // What holds all images is made anew, if it was made from here.
    const known =
      existing === "keep" && (this.#rows.size > 0 || this.#held.size > 0 || !taken.some((path) => shared.includes(path)));
    if (taken.length > 0 && existing !== "replace" && !known) {
      const files =
        taken.length === 1 ? `${taken[0]} exists already` : `${taken.length} files exist already, the first is ${taken[0]}`;
      throw new CellsamError(
        "ERR_OUTPUT_EXISTS",
        `${files}; use \`overwrite: true\` to replace, \`skipExisting: true\` to keep what exists`,
        {
          detail: { taken },
        },
      );
    }
  }

  /** Makes the folder, or tidies it. A run that replaces, or that found nothing, starts without the rows of another one. */
  async begin(): Promise<void> {
    await makeFolder(this.#folder);
    await sweepTemporaries(this.#overlays);
    if (this.#isShard) return;
    if (this.#rows.size === 0) await rm(this.#journal, { force: true });
    for (const [image, row] of this.#held) if (!this.#rows.has(image)) await this.#rows.set(row);
    this.#held.clear();
  }

  /** Reads what earlier runs know: of those that were killed, and of shards, more than scores.json. */
  async #remember(pairs: readonly Pair[]): Promise<void> {
    for (const row of await readScores(this.#scores)) this.#held.set(row.image, row);
    if (this.#isShard) return;
    await this.#rows.remember();
    if (!existsSync(this.#parts.folder)) return;
    for (const { source } of pairs) {
      const row = await this.#parts.read(source);
      if (row) this.#held.set(source, row);
    }
  }

  /** What is known of an image from an earlier run, or from this one. */
  async rowOf(source: string): Promise<PredictedImage | undefined> {
    const held = this.#held.get(source);
    if (this.#isShard) return held ?? (await this.#parts.read(source));
    return (await this.#rows.get(source)) ?? held;
  }

  /**
   * Adds what was found in an image. It is on disk before the image's files are, so that none of them is without scores; that of
   * a shard afterwards (`complete`), since another one may make use of them then.
   */
  async add(source: string, prediction: Prediction): Promise<void> {
    await this.#keep({
      image: source,
      labels: this.labelsOf(source),
      files: this.filesOf(source).map(({ path }) => path),
      cells: prediction.count,
      instances: instancesOf(prediction),
    });
  }

  async #keep(row: PredictedImage): Promise<void> {
    if (this.#isShard) this.#held.set(row.image, row);
    else await this.#rows.set(row);
  }

  /** Tells all shards that the files of an image are there, `anew` or from an earlier run. */
  async complete(source: string, anew: boolean): Promise<void> {
    const row = this.#held.get(source);
    if (this.#isShard && row && (anew || !this.#parts.has(source))) await this.#parts.write(source, row);
    if (this.#isShard) this.#held.delete(source);
  }

  /** The cells of an image as its label image has them, with the scores that are known. @throws CellsamError as decodeLabels */
  async saved(source: string): Promise<Segmentation> {
    const labels = await decodeLabels((await this.savedLabels(source)) as string);
    const row = await this.rowOf(source);
    if (!row) return { labels };
    const files = this.filesOf(source).map(({ path }) => path);
    await this.#keep({ ...row, labels: this.labelsOf(source) ?? row.labels, files });
    return withScores(labels, row);
  }

  #isComplete(source: string): boolean {
    return this.filesOf(source).every(({ path }) => existsSync(path));
  }

  /** What is known of the images whose files are complete, in their order. */
  async *#complete(pairs: readonly Pair[]): AsyncGenerator<PredictedImage, void, undefined> {
    for (const { source } of pairs) {
      const row = this.#isComplete(source) ? await this.rowOf(source) : undefined;
      if (row) yield row;
    }
  }

  /**
   * Writes scores.json, with what is known of images of earlier runs at its end. The journal stays while it knows more: of an
   * image of which some files could not be written.
   */
  async finish(pairs: readonly Pair[]): Promise<void> {
    if (!existsSync(this.#folder) || this.#isShard) return;
    const { done } = await this.#all(pairs).next();
    if (!done) await writeScores(this.#scores, this.#all(pairs));
    const more = pairs.some(({ source }) => this.#rows.has(source) && !this.#isComplete(source));
    if (!more) await rm(this.#journal, { force: true });
    await this.#parts.remove();
  }

  async *#all(pairs: readonly Pair[]): AsyncGenerator<PredictedImage, void, undefined> {
    yield* this.#complete(pairs);
    const sources = new Set(pairs.map(({ source }) => source));
    for (const image of this.#rows.images()) {
      const row = sources.has(image) ? undefined : await this.#rows.get(image);
      if (row) yield row;
    }
  }
}

/** The cells of a label image with the scores of its row. */
export function withScores(labels: Segmentation["labels"], row: PredictedImage): Segmentation {
  const column = (value: (cell: PredictedImage["instances"][number]) => number) => {
    const data: number[] = [];
    for (const cell of row.instances) data[cell.id - 1] = value(cell);
    return { data };
  };
  return { labels, scores: column(({ score }) => score), ious: column(({ iou }) => iou) };
}

function instancesOf({ count, scores, ious, boxes }: Prediction): PredictedImage["instances"] {
  return Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    score: scores.data[i] as number,
    iou: ious.data[i] as number,
    box: [...boxes.data.subarray(4 * i, 4 * i + 4)],
  }));
}

/** The path as the file system stores it: where case does not matter, a.TIF is the file that a.tif would replace. */
function real(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return realpathSync(path); // some virtual drives of Windows do not support the native call
  }
}
