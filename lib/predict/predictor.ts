/** A trained model that stays open, for programs that segment images from memory: a server, a viewer. */
import { type PredictInput, predictOptions } from "../config/inference.js";
import type { ImageArray, openSession, Prediction } from "../engine/session.js";
import { openDetector } from "./folder.js";
import { trainedConfig } from "./trained.js";

/**
 * The folder of a finished experiment, with the settings that it was trained with but for `precision` where that is given, or
 * weights with settings of one's own.
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
   * @param options.boxes prompts in pixels, xyxy, [n,4]; the detector is not asked then
   * @throws the signal's reason when it fires, CellsamError ERR_INVALID_ARGUMENT for an image of another kind
   */
  predict(image: ImageArray, options?: { boxes?: Float32Array; signal?: AbortSignal }): Promise<Prediction>;
  dispose(): Promise<void>;
}

/** @throws CellsamError ERR_CONFIG without weights, ERR_CHECKPOINT_MISMATCH without a detector in them */
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
