/** Predicts an image or a folder of images with given weights, and writes the cells in one or more formats. */
import { existsSync } from "node:fs";
import { predictConfig } from "../config/inference.js";
import { checkDataset } from "../data/check.js";
import { discover, type Pair } from "../data/discover.js";
import { leftOut } from "../data/folder.js";
import { CellsamError } from "../errors.js";
import type { ProgressEvent } from "../events.js";
import { checkOutputFolder } from "../files/outputPath.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import type { OpenDetectorOptions } from "./detector.js";
import { formatsOf, type PredictionFormat } from "./formats.js";
import { type ImageTask, ImageWriter } from "./imageWriter.js";
import { type ManyPrediction, predictMany } from "./many.js";
import { checkWeights } from "./model.js";
import { PredictionFolder } from "./outputs.js";
import { openPredictor, type PredictorSource, settingsOf } from "./predictor.js";
import type { PredictedImage } from "./scores.js";
import { checkShard, type Shard, shareOf } from "./shard.js";
import { beginShards, checkShardFormats, mergePredictions, scoreParts } from "./shardedFolder.js";

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
  /**
   * Predicts only its share of the images, for several processes that divide them, also on several machines. Each image's scores
   * are in scores/ until the last shard, or mergePredictions, makes scores.json, coco.json and cells.csv of them.
   */
  shard?: Shard;
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
  shard: true,
  onProgress: true,
  onImage: true,
  onWarning: true,
  signal: true,
  openSession: true,
});

/**
 * Segments every image of `imgPath` (a file or a folder). When the signal fires, or an image fails, what was done before is
 * complete, with its scores, but for coco.json and cells.csv; `skipExisting` goes on from there.
 * @returns the cells of each image (of a shard: of its share), also written to scores.json beside the other files
 * @throws the signal's reason; CellsamError ERR_DATASET for files that cannot be read, ERR_OUTPUT_EXISTS, ERR_CONFIG when an
 * image would be replaced or the folder cannot be written to, ERR_FILE, ERR_CHECKPOINT_MISMATCH for weights without a detector
 */
export async function predictFolder(
  imgPath: string,
  source: PredictorSource,
  options: PredictFolderOptions,
): Promise<PredictedImage[]> {
  const rows: PredictedImage[] = [];
  const onImage = (row: PredictedImage) => {
    rows.push(row);
    options.onImage?.(row);
  };
  await predictInto(imgPath, source, options && { ...options, onImage });
  return rows;
}

/** The same, but without the cells of all images in memory: `onImage` gets them. */
export async function predictInto(imgPath: string, source: PredictorSource, options: PredictFolderOptions): Promise<void> {
  checkKeys("predictFolder", options, optionKeys);
  if (!options?.outputDir) throw new CellsamError("ERR_INVALID_ARGUMENT", "predictFolder: the option outputDir is missing");
  const { outputDir, overlay = false, overwrite = false, skipExisting = false, signal } = options;
  const { onProgress, onImage, onWarning, openSession, shard } = options;
  if (overwrite && skipExisting)
    throw new CellsamError("ERR_INVALID_ARGUMENT", "predictFolder: overwrite and skipExisting exclude each other");
  if (shard) checkShard(shard);
  const formats = formatsOf(options.format ?? "tiff");
  if (shard) checkShardFormats(formats);
  const settings = await settingsOf(source);
  const reading = predictConfig(settings);
  await checkOutputFolder("outputDir", outputDir);
  const { pairs: all, problems, notes, ignored } = await discover({ imgPath });
  const pairs = shard ? shareOf(all, shard) : all;
  for (const note of notes) onWarning?.(note);
  if (ignored.length > 0) onWarning?.(`${imgPath}: not read are ${await leftOut(ignored)}`);
  const parts = scoreParts(outputDir);
  const folder = new PredictionFolder(outputDir, formats, overlay, parts, shard !== undefined);
  const tell = async ({ source }: Pair) => {
    const row = await folder.rowOf(source);
    if (row) onImage?.(row);
    else onWarning?.(`${source}: its files were there before, and nothing is known of its scores`);
  };
  if (problems.length === 0) await folder.check(pairs, overwrite ? "replace" : skipExisting ? "keep" : "refuse");
  checkWeights(reading.weights);
  // Every image is read before the first is predicted, so that a broken one does not leave half a folder.
  const { warnings } = await checkDataset(pairs, {
    ...reading,
    problems,
    onProgress: (done, total) => onProgress?.({ type: "progress", task: "check", done, total }),
    ...(signal && { signal }),
  });
  for (const warning of warnings) onWarning?.(warning);
  const tasks: Task[] = [];
  for (const pair of pairs) {
    const keep = skipExisting && (shard === undefined || (await folder.rowOf(pair.source)) !== undefined);
    tasks.push(await taskOf(folder, pair, keep));
  }
  // What was summed up already is not taken apart again.
  if (shard && tasks.every(({ kind }) => kind === "skip") && !(await parts.plan())) {
    for (const pair of pairs) await tell(pair);
    return;
  }
  const asked = tasks.filter(({ kind }) => kind === "predict").map(({ pair }) => ({ image: pair.image, name: pair.source }));
  const opening = { ...(onWarning && { onWarning }), ...(openSession && { openSession }) };
  const predictor = asked.length > 0 ? await openPredictor(settings, opening) : undefined;
  const predictions = predictor && predictMany(predictor, asked, { signal });
  const writer = new ImageWriter(folder, formats, reading);
  try {
    await folder.begin();
    if (shard) await beginShards(parts, all, { imgPath, formats, overlay, settings });
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
      await tell(pair);
      await folder.complete(pair.source, kind !== "skip");
      onProgress?.({ type: "progress", task: "predict", done: i + 1, total: tasks.length });
    }
    await writer.commit();
  } finally {
    await predictions?.return();
    await predictor?.dispose();
    await writer.discard();
    await folder.finish(pairs);
  }
  if (shard && (await parts.missing(all.map(({ source }) => source))).length === 0) await mergePredictions(outputDir);
}

/** What is to be done for an image: nothing, to make the missing files of its label image, or to predict it. */
interface Task extends ImageTask {
  kind: "skip" | "convert" | "predict";
}

async function taskOf(folder: PredictionFolder, pair: Pair, keep: boolean): Promise<Task> {
  const files = folder.filesOf(pair.source);
  const missing = keep ? files.filter(({ path }) => !existsSync(path)) : files;
  if (keep && missing.length === 0 && folder.shared.length === 0) return { pair, kind: "skip", missing };
  return { pair, kind: keep && (await folder.savedLabels(pair.source)) ? "convert" : "predict", missing };
}
