/** Evaluates predictions against true masks: two folders of label images, or a model with images and masks. */

import type { PredictInput } from "../config/inference.js";
import { checkDataset, datasetError } from "../data/check.js";
import { decodeLabels } from "../data/decode.js";
import { discover } from "../data/discover.js";
import { CellsamError } from "../errors.js";
import { evaluatePair, type PairEvaluation, type Summary, summarize } from "../evaluation.js";
import type { ProgressEvent } from "../events.js";
import type { openSession } from "../session.js";
import { type Evaluation, evaluateModel } from "./finalEvaluation.js";
import { openDetector } from "./predict.js";
import { labelArray } from "./tiles.js";

export interface EvaluateOptions {
  /** The true masks are foreground masks, whose connected parts are the cells. */
  binaryMasks?: boolean;
  onProgress?: (event: ProgressEvent) => void;
  onWarning?: (message: string) => void;
  signal?: AbortSignal | undefined;
  openSession?: typeof openSession;
}

export interface FolderEvaluation {
  summary: Summary;
  images: { image: string; metrics: PairEvaluation }[];
}

/**
 * Compares the label images of two folders, paired by name.
 * @throws CellsamError ERR_DATASET listing every file without a partner or of another size
 */
export async function evaluateFolders(
  truthPath: string,
  predictionPath: string,
  options: EvaluateOptions = {},
): Promise<FolderEvaluation> {
  const found = await discover({ imgPath: predictionPath, maskPath: truthPath });
  if (found.problems.length > 0) throw datasetError(found.problems);
  const images: FolderEvaluation["images"] = [];
  for (const [i, { stem, image, mask }] of found.pairs.entries()) {
    options.signal?.throwIfAborted();
    const truth = labelArray(await decodeLabels(mask as string, { binaryMasks: options.binaryMasks ?? false }));
    const prediction = labelArray(await decodeLabels(image));
    if (truth.shape.join() !== prediction.shape.join()) {
      const message = `${stem}: the true mask has ${truth.shape.join(" x ")} pixels, the prediction ${prediction.shape.join(" x ")}`;
      throw new CellsamError("ERR_DATASET", message, { detail: { image, mask } });
    }
    images.push({ image: stem, metrics: await evaluatePair(truth, prediction) });
    options.onProgress?.({ type: "progress", task: "evaluate", done: i + 1, total: found.pairs.length });
  }
  return { summary: summarize(images.map(({ metrics }) => metrics)), images };
}

/** Predicts the images with a model and compares with the true masks. @throws CellsamError ERR_DATASET, ERR_CONFIG */
export async function evaluateWeights(
  imgPath: string,
  maskPath: string,
  input: PredictInput,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { binaryMasks = false, signal, onProgress = () => undefined } = options;
  const found = await discover({ imgPath, maskPath });
  const { pairs } = await checkDataset(found.pairs, { binaryMasks, problems: found.problems, ...(signal && { signal }) });
  const { session, config } = await openDetector(input, options);
  try {
    const emit = (event: { type: string }) => {
      if (event.type === "progress") onProgress(event as ProgressEvent);
    };
    return await evaluateModel({ session, config: { ...config, binaryMasks, tileSize: 0 }, emit, signal }, pairs);
  } finally {
    await session.dispose();
  }
}
