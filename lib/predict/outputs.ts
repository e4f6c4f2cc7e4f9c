/** The files of a folder of predictions: their names, what may be written, and what an interrupted run has left. */
import { existsSync, realpathSync } from "node:fs";
import { appendFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { decodeLabels } from "../data/decode.js";
import type { Pair } from "../data/discover.js";
import type { Segmentation } from "../data/writers/segmentation.js";
import type { Prediction } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { readJson, strictJson, writeJson } from "../files/json.js";
import { textOrNull } from "../files/read.js";
import { sweepTemporaries } from "../files/temporaries.js";
import { folderFormat, imageFormat, type PredictionFormat } from "./formats.js";

export interface PredictedImage {
  /** Name without extension. */
  image: string;
  /** Path of the label image; null where no format is one. */
  labels: string | null;
  /** Paths of all files of this image. */
  files: string[];
  /** How many cells were found. */
  cells: number;
  /**
   * One entry per cell: its id in the label image, the detection score, the model's own estimate of the mask's IoU, the box as
   * xyxy in pixels.
   */
  instances: { id: number; score: number; iou: number; box: number[] }[];
}

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
  readonly #rows = new Map<string, PredictedImage>();

  constructor(folder: string, formats: readonly PredictionFormat[], overlay: boolean) {
    this.#folder = folder;
    this.#formats = formats;
    this.#overlay = overlay;
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
  savedLabels(source: string): string | undefined {
    const earlier = this.#rows.get(source)?.labels;
    const paths = [...this.#labelImages(source), ...(earlier ? [join(this.#folder, basename(earlier))] : [])];
    return paths.find((path) => existsSync(path));
  }

  #labelImages(source: string): string[] {
    return this.filesOf(source).flatMap(({ path, format }) => (format && imageFormat(format)?.labels ? [path] : []));
  }

  /** The files that hold all images. */
  get shared(): { path: string; format: PredictionFormat }[] {
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

  /** The rows of a run that goes on, one a line: a killed process leaves them. */
  get #journal(): string {
    return join(this.#folder, "scores.partial.jsonl");
  }

  /**
   * Checks all files before the first is written, and reads what an earlier run knows about its images.
   * @throws CellsamError ERR_CONFIG where an image would be replaced, ERR_OUTPUT_EXISTS
   */
  async check(pairs: readonly Pair[], existing: Existing): Promise<void> {
    const targets = pairs.flatMap(({ source }) => this.filesOf(source)).map(({ path }) => path);
    const shared = [...this.shared.map(({ path }) => path), this.#scores];
    const inputs = new Set(pairs.map(({ image }) => real(image)));
    const taken = [...targets, ...shared].filter((path) => existsSync(path));
    const own = taken.find((path) => inputs.has(real(path)));
    if (own) {
      const message = `${own} is an image and would be replaced by its own prediction; choose another folder`;
      throw new CellsamError("ERR_CONFIG", message, { detail: { path: own } });
    }
    if (existing === "keep") await this.#remember();
    // What holds all images is made anew, if it was made from here.
    const known = existing === "keep" && (this.#rows.size > 0 || !taken.some((path) => shared.includes(path)));
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
    if (this.#rows.size === 0) await rm(this.#journal, { force: true });
    else await appendFile(this.#journal, "\n"); // ends the line that the end of a process may have cut off
  }

  async #remember(): Promise<void> {
    const saved = existsSync(this.#scores) ? await readJson(this.#scores).catch(() => []) : [];
    const lines = (textOrNull(this.#journal) ?? "").split("\n").filter(Boolean);
    const journal = lines.flatMap((line) => {
      try {
        return [JSON.parse(line)];
      } catch {
        return []; // the line that the end of the process cut off
      }
    });
    for (const row of [...(Array.isArray(saved) ? saved : []), ...journal]) {
      if (typeof row?.image === "string" && Array.isArray(row.instances)) this.#rows.set(row.image, row);
    }
  }

  /** What is known of an image from an earlier run, or from this one. */
  rowOf(source: string): PredictedImage | undefined {
    return this.#rows.get(source);
  }

  /** Adds what was found in an image. It is on disk before the image's files are, so that none of them is without scores. */
  async add(source: string, prediction: Prediction): Promise<void> {
    const row = {
      image: source,
      labels: this.labelsOf(source),
      files: this.filesOf(source).map(({ path }) => path),
      cells: prediction.count,
      instances: instancesOf(prediction),
    };
    this.#rows.set(source, row);
    await appendFile(this.#journal, `${strictJson(row, 0)}\n`, { flush: true });
  }

  /** The cells of an image as its label image has them, with the scores that are known. @throws CellsamError as decodeLabels */
  async saved(source: string): Promise<Segmentation> {
    const labels = await decodeLabels(this.savedLabels(source) as string);
    const row = this.#rows.get(source);
    if (!row) return { labels };
    const files = this.filesOf(source).map(({ path }) => path);
    this.#rows.set(source, { ...row, labels: this.labelsOf(source) ?? row.labels, files });
    const column = (value: (cell: PredictedImage["instances"][number]) => number) => {
      const data: number[] = [];
      for (const cell of row.instances) data[cell.id - 1] = value(cell);
      return { data };
    };
    return { labels, scores: column(({ score }) => score), ious: column(({ iou }) => iou) };
  }

  /** What is known of the images whose files are complete, in their order. */
  rows(pairs: readonly Pair[]): PredictedImage[] {
    const complete = (source: string) => this.filesOf(source).every(({ path }) => existsSync(path));
    return pairs.flatMap(({ source }) => (complete(source) ? (this.#rows.get(source) ?? []) : []));
  }

  /**
   * Writes scores.json, with what is known of images of earlier runs at its end. The journal stays while it knows more: of an
   * image of which some files could not be written.
   */
  async finish(pairs: readonly Pair[]): Promise<void> {
    if (!existsSync(this.#folder)) return;
    const sources = new Set(pairs.map(({ source }) => source));
    const others = [...this.#rows.values()].filter(({ image }) => !sources.has(image));
    const rows = [...this.rows(pairs), ...others];
    if (rows.length > 0) await writeJson(this.#scores, rows);
    if (rows.length === this.#rows.size) await rm(this.#journal, { force: true });
  }
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
