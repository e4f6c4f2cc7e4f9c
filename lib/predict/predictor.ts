/** A trained model that stays open, for programs that segment images from memory, such as a server or a viewer. */
import { type PredictInput, predictOptions } from "../config/inference.js";
import { pairImage } from "../data/pair.js";
import type { BoxPrediction, ImageArray, Prediction } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import { type OpenDetectorOptions, openDetector } from "./detector.js";
import { type ImageView, imageView } from "./imageView.js";
import { trainedPrompts } from "./prompts.js";
import { trainedConfig } from "./trained.js";

/**
 * The folder of a finished experiment, used with the settings that it was trained with (`precision` may be changed), or weights
 * and settings. `fold` counts from 1, the default.
 */
export type PredictorSource = TrainedSource | PredictInput;

/** A finished experiment. `fold` counts from 1, the default. */
export interface TrainedSource {
  experiment: string;
  fold?: number;
  precision?: PredictInput["precision"];
}

export interface PredictorOptions extends OpenDetectorOptions {}

export interface PredictorPredictOptions {
  /** Prompts, xyxy in pixels, [n,4] row by row; they replace the detector's. */
  boxes?: Float32Array;
  signal?: AbortSignal | undefined;
}

export interface PredictorEmbedOptions {
  /**
   * Which prompts the network was trained with: "all", as SAM was, or "boxes": points and masks then become a box, with the help
   * of the detector (docs/embedding.md). Default: "boxes" for size tiny, which no SAM was trained for, else "all".
   */
  trainedPrompts?: "all" | "boxes";
  /** How many tiles of a large image stay embedded, those that were needed last. Default 16. */
  keptTiles?: number;
  signal?: AbortSignal | undefined;
}

const sourceKeys = keysOf<TrainedSource>({ experiment: true, fold: true, precision: true });
const optionKeys = keysOf<PredictorOptions>({ onWarning: true, openSession: true });
const predictKeys = keysOf<PredictorPredictOptions>({ boxes: true, signal: true });
const embedKeys = keysOf<PredictorEmbedOptions>({ trainedPrompts: true, keptTiles: true, signal: true });

/** Requests start in the order in which they came. */
export interface Predictor extends AsyncDisposable, Disposable {
  /** How many requests it works on at the same time; see Session.concurrency. */
  readonly concurrency: number;
  /**
   * Finds the cells of an image [H,W] or [H,W,C].
   * @throws the signal's reason when it fires, CellsamError ERR_INVALID_ARGUMENT for an image of another shape or type, for boxes
   * that are not [n,4] and for unknown options
   */
  predict(image: ImageArray, options: PredictorPredictOptions & { boxes: Float32Array }): Promise<BoxPrediction>;
  predict(image: ImageArray, options?: PredictorPredictOptions): Promise<Prediction>;
  /**
   * Opens an image [H,W] or [H,W,C] for prompts: points, boxes and masks that show cells one after another. A small image is
   * embedded now, the tiles of a large one when a prompt first needs them. The view keeps memory until it is disposed of.
   * @throws the signal's reason when it fires, CellsamError ERR_INVALID_ARGUMENT for an image of another shape or type and for
   * unknown options
   */
  embed(image: ImageArray, options?: PredictorEmbedOptions): Promise<ImageView>;
  /** Reads an image file as the settings say: its channels, slice, frame and page. @throws CellsamError as readImage */
  read(path: string): Promise<ImageArray>;
  dispose(): Promise<void>;
}

function refused(message: string): CellsamError {
  return new CellsamError("ERR_INVALID_ARGUMENT", message);
}

/** The settings of a source. @throws CellsamError ERR_CONFIG for a folder without a trained model, and for unknown keys beside it */
export async function settingsOf(source: PredictorSource): Promise<PredictInput> {
  if (typeof source !== "object" || source === null)
    throw refused(
      'a prediction needs { weights: "cellsam-tiny" }, other weights and settings, or { experiment: "output/first" }',
    );
  if (!("experiment" in source)) return source;
  checkKeys("the source of a prediction", source, sourceKeys);
  const { experiment, fold, precision } = source;
  return { ...(await trainedConfig(experiment, fold)), ...(precision && { precision }) };
}

/**
 * Opens a model for prediction.
 * @throws CellsamError ERR_CONFIG without weights, ERR_FILE where their file is missing, ERR_CHECKPOINT_MISMATCH for weights
 * without a detector
 */
export async function openPredictor(source: PredictorSource, options: PredictorOptions = {}): Promise<Predictor> {
  checkKeys("openPredictor", options, optionKeys);
  const { session, config } = await openDetector(await settingsOf(source), options);
  const settings = predictOptions(config);
  const checkPixels = (call: string, image: ImageArray) => {
    if (typeof image === "string") throw refused(`${call} takes pixels: read the file with predictor.read or readImage first`);
  };
  const predict = async (image: ImageArray, options: PredictorPredictOptions = {}) => {
    checkKeys("predict", options, predictKeys);
    const { boxes, signal } = options;
    checkPixels("predict", image);
    if (boxes && !ArrayBuffer.isView(boxes)) throw refused("predict: boxes must be a Float32Array, four numbers for each box");
    if (boxes && boxes.length % 4 !== 0)
      throw refused(`predict: boxes have four numbers each, ${boxes.length} are not a multiple`);
    const prompts = boxes && { boxes: { data: boxes, shape: [boxes.length / 4, 4] } };
    return session.predict({ image, ...settings, ...prompts, signal });
  };
  const embed = async (image: ImageArray, options: PredictorEmbedOptions = {}) => {
    checkKeys("embed", options, embedKeys);
    checkPixels("embed", image);
    return imageView(await session.embed({ image, ...settings, trainedPrompts: trainedPrompts(config.size), ...options }));
  };
  return {
    concurrency: session.concurrency,
    predict: predict as Predictor["predict"],
    embed,
    read: (path) => pairImage({ image: path }, config),
    dispose: () => session.dispose(),
    [Symbol.dispose]: () => session[Symbol.dispose](),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
