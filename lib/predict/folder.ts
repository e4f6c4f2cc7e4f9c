/** Predicts an image or a folder of images with given weights, and writes the cells in one or more formats. */
import { existsSync } from "node:fs";
import { predictConfig } from "../config/inference.js";
import { checkDataset } from "../data/check.js";
import { discover, type Pair } from "../data/discover.js";
import { pairImage, pairStored, type ReadingOptions } from "../data/pair.js";
import type { Segmentation } from "../data/writers/segmentation.js";
import type { ImageArray } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import type { ProgressEvent } from "../events.js";
import { nearest } from "../nearest.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import { writeOutlines } from "../report/overlay.js";
import type { OpenDetectorOptions } from "./detector.js";
import { type FolderWriter, folderFormat, imageFormat, type PredictionFormat, predictionFormats } from "./formats.js";
import { ofImage } from "./imageError.js";
import { type ManyPrediction, predictMany } from "./many.js";
import { type ImageFile, type PredictedImage, PredictionFolder } from "./outputs.js";
import { openPredictor, type PredictorSource, settingsOf } from "./predictor.js";

export interface PredictFolderOptions extends OpenDetectorOptions {
  /** Folder for the files and scores.json. */
  outputDir: string;
  /** One format or several. Default "tiff". */
  format?: PredictionFormat | readonly PredictionFormat[];
  /** Also writes overlays/NAME.png, the image with the outlines of its cells. Default false. */
  overlay?: boolean;
  /** Replaces files that exist. Default false. */
  overwrite?: boolean;
  /**
   * Keeps files that exist and predicts only what is missing, so that a run that was stopped goes on. Other formats are made of
   * the label images that are there. coco.json, cells.csv and scores.json are made anew. Default false.
   */
  skipExisting?: boolean;
  onProgress?: (event: ProgressEvent) => void;
  /** Called with each image when its files are written. */
  onImage?: (image: PredictedImage) => void;
  signal?: AbortSignal | undefined;
}

const optionKeys = keysOf<PredictFolderOptions>({
  outputDir: true,
  format: true,
  overlay: true,
  overwrite: true,
  skipExisting: true,
  onProgress: true,
  onImage: true,
  onWarning: true,
  signal: true,
  openSession: true,
});

/** The formats that were asked for, each once. @throws CellsamError ERR_INVALID_ARGUMENT */
function formatsOf(format: PredictFolderOptions["format"] = "tiff"): PredictionFormat[] {
  const asked = [...new Set(typeof format === "string" ? [format] : format)];
  const unknown = asked.filter((name) => !predictionFormats.includes(name));
  if (unknown.length === 0 && asked.length > 0) return asked;
  const meant = unknown.map((name) => nearest(String(name), predictionFormats)).filter((name) => name !== undefined);
  const hint = meant.length > 0 ? ` (did you mean ${meant.join(", ")}?)` : "";
  throw new CellsamError(
    "ERR_INVALID_ARGUMENT",
    `format must be of ${predictionFormats.join(", ")}, not ${unknown.join(", ") || "nothing"}${hint}`,
  );
}

/**
 * Segments every image of `imgPath` (a file or a folder). When the signal fires, or an image fails, what was done before is
 * complete, with its scores, but for coco.json and cells.csv; `skipExisting` goes on from there.
 * @returns the cells of each image, also written to scores.json beside the other files
 * @throws the signal's reason; CellsamError ERR_DATASET for files that cannot be read, ERR_OUTPUT_EXISTS, ERR_CONFIG when an
 * image would be replaced, ERR_FILE, ERR_CHECKPOINT_MISMATCH for weights without a detector
 */
export async function predictFolder(
  imgPath: string,
  source: PredictorSource,
  options: PredictFolderOptions,
): Promise<PredictedImage[]> {
  checkKeys("predictFolder", options, optionKeys);
  const { outputDir, overlay = false, overwrite = false, skipExisting = false, signal } = options;
  const { onProgress, onImage, onWarning, openSession } = options;
  if (overwrite && skipExisting)
    throw new CellsamError("ERR_INVALID_ARGUMENT", "predictFolder: overwrite and skipExisting exclude each other");
  const formats = formatsOf(options.format);
  const settings = await settingsOf(source);
  const reading = predictConfig(settings);
  const { pairs, problems } = await discover({ imgPath });
  const folder = new PredictionFolder(outputDir, formats, overlay);
  if (problems.length === 0) await folder.check(pairs, overwrite ? "replace" : skipExisting ? "keep" : "refuse");
  // Every image is read before the first is predicted, so that a broken one does not leave half a folder.
  await checkDataset(pairs, {
    ...reading,
    problems,
    onProgress: (done, total) => onProgress?.({ type: "progress", task: "check", done, total }),
    ...(signal && { signal }),
  });
  const tasks = pairs.map((pair) => taskOf(folder, pair, skipExisting));
  const asked = tasks.filter(({ kind }) => kind === "predict").map(({ pair }) => ({ image: pair.image, name: pair.source }));
  const opening = { ...(onWarning && { onWarning }), ...(openSession && { openSession }) };
  const predictor = asked.length > 0 ? await openPredictor(settings, opening) : undefined;
  const predictions = predictor && predictMany(predictor, asked, { signal });
  const writer = new ImageWriter(folder, formats, reading);
  try {
    await folder.begin();
    await writer.begin(pairs);
    for (const [i, task] of tasks.entries()) {
      signal?.throwIfAborted();
      const { pair, kind } = task;
      if (kind === "predict") {
        const next = (await predictions?.next()) as IteratorYieldResult<ManyPrediction>;
        await folder.add(pair.source, next.value.prediction);
        await writer.write(task, next.value.prediction, next.value.image);
      } else if (kind === "convert") {
        await writer.write(task, await folder.saved(pair.source));
      }
      const row = folder.rowOf(pair.source);
      if (row) onImage?.(row);
      else onWarning?.(`${pair.source}: its files were there before, and nothing is known of its scores`);
      onProgress?.({ type: "progress", task: "predict", done: i + 1, total: tasks.length });
    }
    await writer.commit();
  } finally {
    await predictions?.return();
    await predictor?.dispose();
    await writer.discard();
    await folder.finish(pairs);
  }
  return folder.rows(pairs);
}

/** What is to be done for an image: nothing, to make `missing` of its label image, or to predict it. */
interface Task {
  pair: Pair;
  kind: "skip" | "convert" | "predict";
  missing: ImageFile[];
}

function taskOf(folder: PredictionFolder, pair: Pair, keep: boolean): Task {
  const files = folder.filesOf(pair.source);
  const missing = keep ? files.filter(({ path }) => !existsSync(path)) : files;
  if (keep && missing.length === 0 && folder.shared.length === 0) return { pair, kind: "skip", missing };
  const labels = folder.labelsOf(pair.source);
  return { pair, kind: keep && labels !== null && existsSync(labels) ? "convert" : "predict", missing };
}

/** Writes the files of one image after the other, and those of all images. */
class ImageWriter {
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

  async write({ pair, missing }: Task, cells: Segmentation, image?: ImageArray): Promise<void> {
    try {
      const stored = this.#measures ? await pairStored(pair, this.#reading) : undefined;
      for (const { path, format } of missing) {
        if (format) await imageFormat(format)?.write(path, cells);
        else await this.#draw(path, image ?? (await pairImage(pair, this.#reading)), cells);
      }
      for (const writer of this.#shared) await writer.add(pair, cells, stored);
    } catch (cause) {
      throw ofImage(pair, cause);
    }
  }

  #draw(path: string, image: ImageArray, { labels }: Segmentation): Promise<void> {
    return writeOutlines(path, image, labels);
  }

  async commit(): Promise<void> {
    for (const writer of this.#shared) await writer.commit();
  }

  async discard(): Promise<void> {
    for (const writer of this.#shared) await writer.discard();
  }
}
