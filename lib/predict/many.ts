/** Predicts images in their order with one model, while the next ones are read. */
import type { BoxPrediction, ImageArray, Prediction } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { inOrder } from "../inOrder.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import { ofImage } from "./imageError.js";
import { openPredictor, type Predictor, type PredictorOptions, type PredictorSource } from "./predictor.js";

/** An image in memory or the path of a file. */
export interface ManyImage {
  image: string | ImageArray;
  /** For results and messages. Default: the path, or the number of the image, from 0. */
  name?: string;
  /** Prompts, xyxy in pixels, [n,4] row by row; they replace the detector's. */
  boxes?: Float32Array;
}

export interface PredictManyOptions extends PredictorOptions {
  /**
   * How many images and results are in memory at a time. Default: one more than the predictor works on at the same time, since
   * that one is read meanwhile.
   */
  concurrency?: number;
  /**
   * Called for an image that fails, which is then left out. Without it the first failure ends the iteration, with the name of
   * the image in front of its message.
   */
  onError?: (name: string, error: CellsamError) => void;
  signal?: AbortSignal | undefined;
}

export interface ManyPrediction {
  name: string;
  image: ImageArray;
  prediction: Prediction | BoxPrediction;
}

const optionKeys = keysOf<PredictManyOptions>({
  concurrency: true,
  onError: true,
  signal: true,
  onWarning: true,
  openSession: true,
});
const imageKeys = keysOf<ManyImage>({ image: true, name: true, boxes: true });

/**
 * Predicts images in their order; each result comes as soon as it is there. Images are taken from `images` as they are needed, so
 * a generator may make or list them. Leaving the loop early stops the work.
 * @param source an open predictor, which stays open, or what openPredictor takes
 * @throws the signal's reason when it fires; CellsamError as openPredictor, readImage and Predictor.predict
 */
export async function* predictMany(
  source: Predictor | PredictorSource,
  images: Iterable<string | ManyImage> | AsyncIterable<string | ManyImage>,
  options: PredictManyOptions = {},
): AsyncGenerator<ManyPrediction, void, undefined> {
  checkKeys("predictMany", options, optionKeys);
  const { concurrency, onError, signal, ...opening } = options;
  if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1)) {
    throw new CellsamError(
      "ERR_INVALID_ARGUMENT",
      `predictMany: concurrency must be a whole number from 1, not ${concurrency}`,
    );
  }
  if (!isList(images)) {
    const message = "predictMany: images must be a list of paths or of { image, name }, or a generator of them";
    throw new CellsamError("ERR_INVALID_ARGUMENT", message);
  }
  signal?.throwIfAborted();
  const own = isPredictor(source) ? undefined : await openPredictor(source, opening);
  const predictor = own ?? (source as Predictor);
  const work = async (item: string | ManyImage, index: number, stop: AbortSignal) => {
    const { image: given, name: asked, boxes } = typeof item === "string" ? { image: item } : item;
    const name = asked ?? (typeof given === "string" ? given : String(index));
    try {
      const image = typeof given === "string" ? await predictor.read(given) : given;
      stop.throwIfAborted();
      const prediction = await predictor.predict(image, { ...(boxes && { boxes }), signal: stop });
      return { name, image, prediction };
    } catch (cause) {
      stop.throwIfAborted();
      const error = ofImage({ source: name, image: typeof given === "string" ? given : name }, cause);
      if (!onError) throw error;
      onError(name, error);
      return undefined;
    }
  };
  try {
    const left = () => new CellsamError("ERR_CANCELLED", "predictMany: its results are no longer asked for");
    const atOnce = concurrency ?? predictor.concurrency + 1;
    for await (const done of inOrder(checked(images), { atOnce, work, left, signal })) if (done) yield done;
  } finally {
    await own?.dispose();
  }
}

/** Unknown keys are refused when the image is taken, before it is read. */
async function* checked(images: Iterable<string | ManyImage> | AsyncIterable<string | ManyImage>) {
  for await (const item of images) {
    if (typeof item !== "string") checkKeys("predictMany: an image", item, imageKeys);
    yield item;
  }
}

function isList(images: unknown): boolean {
  return typeof images === "object" && images !== null && (Symbol.iterator in images || Symbol.asyncIterator in images);
}

function isPredictor(source: Predictor | PredictorSource): source is Predictor {
  return typeof (source as Predictor | undefined)?.predict === "function";
}
