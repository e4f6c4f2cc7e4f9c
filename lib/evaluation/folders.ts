/** Evaluates predictions against true masks: given as a second folder of label images, or made by a model from images. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type PredictInput, predictConfig } from "../config/inference.js";
import { unknownCategories } from "../data/categories.js";
import { type CheckedPair, datasetError } from "../data/check.js";
import {
  type Dataset,
  type DatasetConfig,
  discoverOptions,
  type LoadOptions,
  loadDataset,
  objectFindings,
} from "../data/dataset.js";
import { decodeLabels } from "../data/decode.js";
import { discover, type Pair } from "../data/discover.js";
import { isNumbered, labelFindings, type MaskFacts } from "../data/labelFindings.js";
import { pairLabels } from "../data/pair.js";
import type { openSession } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import type { ProgressEvent } from "../events.js";
import { readJson } from "../files/json.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import { openDetector } from "../predict/detector.js";
import { ofImage } from "../predict/imageError.js";
import type { PredictedImage } from "../predict/scores.js";
import { type EvaluateModelOptions, type Evaluation, evaluateModel, type Measured } from "./model.js";
import { type EvaluationOptions, evaluatePair, type PairEvaluation, type Summary, summarize } from "./pairs.js";

export interface EvaluateOptions {
  /** The true masks are foreground masks, whose connected parts are the cells. */
  binaryMasks?: boolean;
  onProgress?: (event: ProgressEvent) => void;
  onWarning?: (message: string) => void;
  signal?: AbortSignal | undefined;
  openSession?: typeof openSession;
}

/** How the true masks are read: the settings of a training about masks. */
export type TruthOptions = Pick<
  DatasetConfig,
  | "annotationFormat"
  | "ignoreLabel"
  | "backgroundLabel"
  | "relabel"
  | "minCellArea"
  | "maskPage"
  | "categories"
  | "outline"
  | "withoutOutline"
  | "maxPixels"
>;

export interface EvaluateFoldersOptions extends EvaluateOptions, TruthOptions, Omit<EvaluationOptions, "scores"> {}

export interface EvaluateWeightsOptions
  extends EvaluateOptions,
    Pick<EvaluateModelOptions, "optimizeThreshold" | "keepGoing"> {}

const common = { binaryMasks: true, onProgress: true, onWarning: true, signal: true, openSession: true } as const;
const folderKeys = keysOf<EvaluateFoldersOptions>({
  ...common,
  annotationFormat: true,
  ignoreLabel: true,
  backgroundLabel: true,
  relabel: true,
  minCellArea: true,
  maskPage: true,
  categories: true,
  outline: true,
  withoutOutline: true,
  maxPixels: true,
  iouThreshold: true,
  cutoff2: true,
  boundaryTolerance: true,
});
export const weightsKeys = keysOf<EvaluateWeightsOptions>({ ...common, optimizeThreshold: true, keepGoing: true });

export interface FolderEvaluation {
  summary: Summary;
  /** `image` is the name without extension. */
  images: { image: string; metrics: PairEvaluation }[];
}

/**
 * The scores that `predictFolder` wrote beside its label images, row i for the id i + 1; undefined where they are incomplete.
 * Each scores.json is read once.
 */
class WrittenScores {
  readonly #files = new Map<string, Promise<Map<string, PredictedImage["instances"]>>>();

  async of(labels: string, source: string): Promise<EvaluationOptions["scores"]> {
    const path = join(dirname(labels), "scores.json");
    if (!this.#files.has(path)) this.#files.set(path, instancesIn(path));
    const own = (await this.#files.get(path))?.get(source);
    if (!own?.every(({ id, score }, i) => id === i + 1 && Number.isFinite(score))) return undefined;
    return { data: Float64Array.from(own, ({ score }) => score), shape: [own.length] };
  }
}

async function instancesIn(path: string): Promise<Map<string, PredictedImage["instances"]>> {
  const rows = existsSync(path) ? await readJson<PredictedImage[]>(path) : [];
  return new Map(Array.isArray(rows) ? rows.map(({ image, instances }) => [image, instances]) : []);
}

type TruthNotes = Pair & Pick<CheckedPair, "tallies" | "categories">;

/**
 * Compares the label images of two folders, paired by name. COCO AP needs the scores.json that `predictFolder` writes beside
 * its predictions.
 * @throws CellsamError ERR_DATASET listing every file without a partner or of another size
 */
export async function evaluateFolders(
  truthPath: string,
  predictionPath: string,
  options: EvaluateFoldersOptions = {},
): Promise<FolderEvaluation> {
  checkKeys("evaluateFolders", options, folderKeys);
  const { iouThreshold, cutoff2, boundaryTolerance, annotationFormat } = options;
  const { binaryMasks = false, ignoreLabel = null, categories = null, maxPixels = null, outline, withoutOutline } = options;
  const { backgroundLabel = null, relabel = "check", minCellArea = 0, maskPage = null } = options;
  const rules = { binaryMasks, backgroundLabel, relabel, minCellArea };
  const reading = {
    ...{ ...rules, ignoreLabel, categories, maxPixels, maskPage },
    ...(outline && { outline }),
    ...(withoutOutline && { withoutOutline }),
  };
  const masks: MaskFacts[] = [];
  const written = new WrittenScores();
  const found = await discover({
    imgPath: predictionPath,
    maskPath: truthPath,
    predictions: true,
    ...discoverOptions({ binaryMasks, ...(annotationFormat && { annotationFormat }) }),
  });
  if (found.problems.length > 0) throw datasetError(found.problems);
  const images: FolderEvaluation["images"] = [];
  const truths: TruthNotes[] = [];
  for (const [i, pair] of found.pairs.entries()) {
    options.signal?.throwIfAborted();
    const { source, image, mask } = pair;
    const prediction = await decodeLabels(image, maxPixels === null ? {} : { maxPixels });
    const [height = 0, width = 0] = prediction.shape;
    const truth = await pairLabels({ ...pair, height, width }, { ...reading, facts: true });
    if (truth.facts) masks.push({ path: mask ?? "", numbered: isNumbered(pair.annotation), facts: truth.facts });
    truths.push({ ...pair, tallies: truth.tallies ?? [], categories: truth.categories ?? [] });
    if (truth.shape.join() !== prediction.shape.join()) {
      const message = `${source}: the true mask has ${truth.shape.join(" x ")} pixels, the prediction ${prediction.shape.join(" x ")}`;
      throw new CellsamError("ERR_DATASET", message, { detail: { image, mask } });
    }
    const scores = await written.of(image, source);
    const metrics = await evaluatePair(truth, prediction, {
      iouThreshold,
      cutoff2,
      boundaryTolerance,
      ...(scores && { scores }),
    }).catch((cause: unknown) => {
      throw ofImage({ source, image }, cause);
    });
    images.push({ image: source, metrics });
    options.onProgress?.({ type: "progress", task: "evaluate", done: i + 1, total: found.pairs.length });
  }
  const { problems, warnings } = labelFindings(masks, rules);
  problems.push(...unknownCategories(truths, categories));
  if (problems.length > 0) throw datasetError(problems);
  const objects = objectFindings(truths, categories);
  for (const text of [...found.notes, ...objects.notes, ...warnings, ...objects.warnings]) options.onWarning?.(text);
  return { summary: summarize(images.map(({ metrics }) => metrics)), images };
}

/**
 * Predicts the images with a model and compares with the true masks. `optimizeThreshold` also returns the best detection
 * thresholds, from the same pass; tune them on validation images and report on others.
 * @throws CellsamError ERR_DATASET, ERR_CONFIG, ERR_CHECKPOINT_MISMATCH; the signal's reason
 */
export async function evaluateWeights(
  imgPath: string,
  maskPath: string,
  input: PredictInput,
  options: EvaluateWeightsOptions = {},
): Promise<Evaluation> {
  checkKeys("evaluateWeights", options, weightsKeys);
  const { pairs, warnings } = await truthOf(imgPath, maskPath, input, options);
  for (const warning of warnings) options.onWarning?.(warning);
  return evaluatePairs(pairs, input, options);
}

/** Reads and checks the images and masks that `choose` takes. @throws CellsamError ERR_DATASET, ERR_CONFIG */
export function truthOf(
  imgPath: string,
  maskPath: string,
  input: PredictInput,
  { binaryMasks = false, signal }: EvaluateWeightsOptions,
  choose?: LoadOptions["choose"],
): Promise<Dataset> {
  const dataset = { ...predictConfig(input), imgPath, maskPath, binaryMasks };
  return loadDataset(dataset, { ...(signal && { signal }), ...(choose && { choose }) });
}

/** Opens the model, and measures it on the images. */
export async function evaluatePairs(
  pairs: readonly Pair[],
  input: PredictInput,
  options: EvaluateWeightsOptions,
  keep?: (measured: Measured) => Promise<void>,
): Promise<Evaluation> {
  const { binaryMasks = false, optimizeThreshold = false, keepGoing = false, signal, onProgress = () => undefined } = options;
  const { session, config } = await openDetector(input, options);
  try {
    const emit = (event: { type: string }) => {
      if (event.type === "progress") onProgress(event as ProgressEvent);
    };
    const context = { session, config: { ...config, binaryMasks, tileSize: 0 }, emit, signal, keep };
    return await evaluateModel(context, pairs, { optimizeThreshold, keepGoing });
  } finally {
    await session.dispose();
  }
}
