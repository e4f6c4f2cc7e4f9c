/** Predicts an image or a folder of images with given weights, and writes a label image for each. */
import { existsSync, realpathSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type PredictConfig, type PredictInput, predictConfig, predictOptions } from "../config/inference.js";
import { checkDataset } from "../data/check.js";
import { discover } from "../data/discover.js";
import { pairImage } from "../data/pair.js";
import { type LabelFormat, writeLabels } from "../data/write.js";
import { resolveDevice } from "../engine/device.js";
import { openSession, type Prediction, type Session } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import type { ProgressEvent } from "../events.js";
import { writeJson } from "../files/json.js";
import { checkOutputFolder } from "../files/outputPath.js";
import { ofImage } from "./imageError.js";
import { openModel } from "./model.js";

export type { LabelFormat } from "../data/write.js";

const extensions: Record<LabelFormat, string> = { tiff: ".tif", png: ".png", npy: ".npy" };

export interface PredictFolderOptions {
  /** Folder for the label images and scores.json. */
  outputDir: string;
  /** 16 bit, or 32 bit when there are more than 65535 cells (tiff and npy). Default "tiff". */
  format?: LabelFormat;
  /** Replaces files that exist. Default false. */
  overwrite?: boolean;
  onProgress?: (event: ProgressEvent) => void;
  onWarning?: (message: string) => void;
  signal?: AbortSignal | undefined;
  openSession?: typeof openSession;
}

export interface PredictedImage {
  /** Name without extension. */
  image: string;
  /** Path of the label image. */
  labels: string;
  /** How many cells were found. */
  cells: number;
  /**
   * One entry per cell: its id in the label image, the detection score, the model's own estimate of the mask's IoU, the box as
   * xyxy in pixels.
   */
  instances: { id: number; score: number; iou: number; box: number[] }[];
}

/**
 * Opens a model with a trained detector.
 * @throws CellsamError ERR_CONFIG without weights, ERR_CHECKPOINT_MISMATCH without a detector
 */
export async function openDetector(
  input: PredictInput,
  { onWarning = () => undefined, ...options }: Pick<PredictFolderOptions, "openSession" | "onWarning"> = {},
): Promise<{ session: Session; config: PredictConfig }> {
  const config = predictConfig(input);
  if (!config.weights)
    throw new CellsamError(
      "ERR_CONFIG",
      "weights: give the .pth or .safetensors file of a trained model, or cellsam-tiny, which comes with this package",
    );
  const device = await resolveDevice(config.device, onWarning);
  const { session, report } = await openModel(config, {
    device,
    open: options.openSession ?? openSession,
    warn: onWarning,
  });
  // A SAM checkpoint loads, since training may start from it, but its detector would be random.
  const missing = report?.missing.filter((name) => name.startsWith("cellfinder.")) ?? [];
  if (missing.length > 0) {
    await session.dispose();
    const message = `${config.weights} holds no trained detector (${missing[0]} is missing); train stage 1 first, or give boxes to a session's predict`;
    throw new CellsamError("ERR_CHECKPOINT_MISMATCH", message, { detail: { missing } });
  }
  return { session, config };
}

/** The path as the file system stores it: where case does not matter, a.TIF is the file that a.tif would replace. */
function real(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return realpathSync(path); // some virtual drives of Windows do not support the native call
  }
}

/** Refuses targets that are input images, and without `overwrite` targets that exist. */
function checkTargets(targets: readonly string[], images: readonly string[], overwrite: boolean): void {
  const inputs = new Set(images.map(real));
  const taken = targets.filter((path) => existsSync(path));
  const own = taken.find((path) => inputs.has(real(path)));
  if (own) {
    throw new CellsamError("ERR_CONFIG", `${own} is an image and would become its own label image; choose another folder`, {
      detail: { path: own },
    });
  }
  if (taken.length === 0 || overwrite) return;
  const files =
    taken.length === 1 ? `${taken[0]} exists already` : `${taken.length} files exist already, the first is ${taken[0]}`;
  throw new CellsamError("ERR_OUTPUT_EXISTS", `${files}; use --overwrite`, { detail: { taken } });
}

function instancesOf({ count, scores, ious, boxes }: Prediction): PredictedImage["instances"] {
  return Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    score: scores.data[i] as number,
    iou: ious.data[i] as number,
    box: [...boxes.data.subarray(4 * i, 4 * i + 4)],
  }));
}

/**
 * Segments every image of `imgPath` (a file or a folder).
 * @returns the cells of each image, also written to scores.json beside the label images
 * @throws CellsamError ERR_DATASET for files that cannot be read, ERR_OUTPUT_EXISTS, ERR_CONFIG when an image would be
 * overwritten or the folder cannot be written to, ERR_CHECKPOINT_MISMATCH for weights without a detector
 */
export async function predictFolder(
  imgPath: string,
  input: PredictInput,
  options: PredictFolderOptions,
): Promise<PredictedImage[]> {
  const { outputDir, format = "tiff", signal, onProgress } = options;
  const reading = predictConfig(input);
  await checkOutputFolder("outputDir", outputDir);
  const found = await discover({ imgPath });
  const targets = found.pairs.map(({ source }) => join(outputDir, `${source}${extensions[format]}`));
  const scores = join(outputDir, "scores.json");
  checkTargets(
    [...targets, scores],
    found.pairs.map(({ image }) => image),
    options.overwrite ?? false,
  );
  // Every image is read before the first is predicted, so that a broken one does not leave half a folder.
  await checkDataset(found.pairs, {
    ...reading,
    problems: found.problems,
    onProgress: (done, total) => onProgress?.({ type: "progress", task: "check", done, total }),
    ...(signal && { signal }),
  });
  const { session, config } = await openDetector(input, options);
  try {
    await mkdir(outputDir, { recursive: true });
    const images: PredictedImage[] = [];
    for (const [i, { source, image }] of found.pairs.entries()) {
      signal?.throwIfAborted();
      const prediction = await session
        .predict({ image: await pairImage({ image }, config), ...predictOptions(config), signal })
        .catch((cause: unknown) => {
          signal?.throwIfAborted();
          throw ofImage({ source, image }, cause);
        });
      const labels = targets[i] as string;
      const [height, width] = prediction.labels.shape as [number, number];
      await writeLabels(labels, { data: prediction.labels.data, shape: [height, width] });
      images.push({ image: source, labels, cells: prediction.count, instances: instancesOf(prediction) });
      onProgress?.({ type: "progress", task: "predict", done: i + 1, total: found.pairs.length });
    }
    await writeJson(scores, images);
    return images;
  } finally {
    await session.dispose();
  }
}
