/** A folder of predictions that several processes fill: what they agree on, and the files that hold all images. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type PredictInput, predictConfig } from "../config/inference.js";
import { decodeLabels } from "../data/decode.js";
import { discover, type Pair } from "../data/discover.js";
import { CellsamError } from "../errors.js";
import { incomplete, Parts } from "../files/parts.js";
import { packageVersion } from "../version.js";
import { folderFormat, imageFormat, type PredictionFormat } from "./formats.js";
import { ImageWriter } from "./imageWriter.js";
import { PredictionFolder, withScores } from "./outputs.js";
import { type PredictedImage, readScores, writeScores } from "./scores.js";
import { sharedSettings } from "./shard.js";

/** What all shards of a prediction have in common. */
interface Prediction {
  imgPath: string;
  formats: readonly PredictionFormat[];
  overlay: boolean;
  settings: PredictInput;
}

/** The scores of images in a folder of predictions whose shards are not all done. */
export function scoreParts(outputDir: string): Parts<PredictedImage, Prediction> {
  return new Parts(join(outputDir, "scores"));
}

/** @throws CellsamError ERR_INVALID_ARGUMENT for a file of all images that could not be made afterwards */
export function checkShardFormats(formats: readonly PredictionFormat[]): void {
  const shared = formats.filter((name) => folderFormat(name));
  if (shared.length === 0 || formats.some((name) => imageFormat(name)?.labels)) return;
  const message = `${shared.join(", ")} of shards are made of their label images: add tiff, png or npy to the formats`;
  throw new CellsamError("ERR_INVALID_ARGUMENT", message);
}

/** @throws CellsamError ERR_RESUME where other shards began with other images or settings */
export async function beginShards(
  parts: Parts<PredictedImage, Prediction>,
  all: readonly Pair[],
  { imgPath, settings, ...rest }: Prediction,
): Promise<void> {
  const images = all.map(({ source }) => source);
  const own = { imgPath: resolve(imgPath), ...rest, settings: sharedSettings(settings) };
  await parts.begin({ format: 1, package: packageVersion, images, settings: own });
}

/**
 * Makes of the scores of all shards the files that a prediction without shards writes: scores.json, and coco.json and cells.csv
 * where they are asked for. The last shard does this by itself; without effect where it is done already.
 * @returns the number of images and of their cells; null where there was nothing to merge
 * @throws CellsamError ERR_INCOMPLETE naming the images that are missing, ERR_NOTHING_TO_RESUME for a folder without predictions
 */
export async function mergePredictions(outputDir: string): Promise<{ images: number; cells: number } | null> {
  const parts = scoreParts(outputDir);
  const scores = join(outputDir, "scores.json");
  const plan = await parts.plan();
  if (!plan && existsSync(scores)) return null;
  if (!plan) {
    const message = `${outputDir} holds no predictions of shards, which predict --shard writes`;
    throw new CellsamError("ERR_NOTHING_TO_RESUME", message, { detail: { path: outputDir } });
  }
  const missing = await parts.missing(plan.images);
  if (missing.length > 0) throw incomplete(outputDir, missing, plan.images.length);
  const row = async (image: string) => {
    const known = await parts.read(image);
    if (!known) throw incomplete(outputDir, [image], plan.images.length);
    return known;
  };
  const sum = { images: plan.images.length, cells: 0 };
  const images = new Set(plan.images);
  const earlier = (await readScores(scores)).filter(({ image }) => !images.has(image));
  async function* rows() {
    for (const image of plan?.images ?? []) {
      const one = await row(image);
      sum.cells += one.cells;
      yield one;
    }
    yield* earlier;
  }
  try {
    await writeShared(outputDir, plan.settings, parts, row);
    await writeScores(scores, rows());
  } catch (error) {
    // The last two shards may end at once: then the other one has merged, and removed the parts.
    if (!(await parts.plan()) && existsSync(scores)) return null;
    throw error;
  }
  await parts.remove();
  return sum;
}

/** Writes the files of all images out of their label images and scores. */
async function writeShared(
  outputDir: string,
  { imgPath, formats, overlay, settings }: Prediction,
  parts: Parts<PredictedImage, Prediction>,
  row: (image: string) => Promise<PredictedImage>,
): Promise<void> {
  const folder = new PredictionFolder(outputDir, formats, overlay, parts);
  if (folder.shared.length === 0) return;
  const { pairs } = await discover({ imgPath });
  const writer = new ImageWriter(folder, formats, predictConfig(settings));
  try {
    await writer.begin(pairs);
    for (const pair of pairs) {
      const known = await row(pair.source);
      const labels = await decodeLabels((await folder.savedLabels(pair.source)) as string);
      await writer.write({ pair, missing: [] }, withScores(labels, known));
    }
    await writer.commit();
  } finally {
    await writer.discard();
  }
}
