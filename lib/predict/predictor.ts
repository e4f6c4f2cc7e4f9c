/** A trained model that stays open, for programs that segment images from memory, such as a server or a viewer. */
import { type PredictInput, predictOptions } from "../config/inference.js";
import type { ImageArray, openSession, Prediction } from "../engine/session.js";
import { openDetector } from "./folder.js";
import { trainedConfig } from "./trained.js";

/**
 * The folder of a finished experiment, used with the settings that it was trained with (`precision` may be changed), or weights
 * and settings. `fold` counts from 1, the default.
 */
export type PredictorSource = { experiment: string; fold?: number; precision?: PredictInput["precision"] } | PredictInput;

export interface PredictorOptions {
  onWarning?: (message: string) => void;
  openSession?: typeof openSession;
}

/** Requests run one after another, in the order in which they came. */
export interface Predictor extends AsyncDisposable, Disposable {
  /**
   * Finds the cells of an image [H,W] or [H,W,C].
   * @param options.boxes prompts, xyxy in pixels, [n,4] row by row; they replace the detector's
   * @throws the signal's reason when it fires, CellsamError ERR_INVALID_ARGUMENT for an image of another shape or type
   */
  predict(image: ImageArray, options?: { boxes?: Float32Array; signal?: AbortSignal }): Promise<Prediction>;
  dispose(): Promise<void>;
}

/**
 * Opens a model for prediction.
 * @throws CellsamError ERR_CONFIG without weights, ERR_CHECKPOINT_MISMATCH for weights without a detector
 */
export async function openPredictor(source: PredictorSource, options: PredictorOptions = {}): Promise<Predictor> {
  let input: PredictInput = source;
  if ("experiment" in source) {
    input = {
      ...(await trainedConfig(source.experiment, source.fold)),
      ...(source.precision && { precision: source.precision }),
    };
  }
  const { session, config } = await openDetector(input, options);
  const settings = predictOptions(config);
  return {
    predict: (image, { boxes, signal } = {}) =>
      session.predict({
        image,
        ...settings,
        ...(boxes && { boxes: { data: boxes, shape: [boxes.length / 4, 4] } }),
        signal,
      }),
    dispose: () => session.dispose(),
    [Symbol.dispose]: () => session[Symbol.dispose](),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
