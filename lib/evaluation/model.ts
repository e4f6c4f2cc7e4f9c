/**
 * Measures a model on whole images with the prediction that users call: the cells found (detector and masks together), and
 * separately how good the masks are when the prompts are the true boxes.
 */
import type { IntensityConfig } from "../config/data.js";
import { type EvaluationConfig, fixedThreshold, type InferenceConfig, predictOptions } from "../config/inference.js";
import type { Pair } from "../data/discover.js";
import { pairImage, pairLabels, type ReadingOptions } from "../data/pair.js";
import { assemblePrediction, type ImageSweep, type Prediction, sweepThresholds } from "../engine/inference.js";
import type { Session } from "../engine/session.js";
import { CellsamError, type Failure } from "../errors.js";
import type { TrainingEvent } from "../events.js";
import { inOrder } from "../inOrder.js";
import { ofImage } from "../predict/imageError.js";
import { meanOrNull } from "../stats/summary.js";
import { evaluatePair, type PairEvaluation, type Summary, summarize } from "./pairs.js";
import { metricsAt, type OptimizableMetric, optimizeThresholds, type ThresholdMetrics } from "./thresholds.js";

export type { ThresholdMetrics } from "./thresholds.js";

export interface ImageEvaluation {
  /** Name without extension. */
  image: string;
  metrics: PairEvaluation;
  /** Mean IoU of the masks prompted with the true boxes; null for an image without cells. */
  meanPromptIou: number | null;
}

/** An image that could not be measured. It is in none of the scores. */
export interface EvaluationFailure extends Failure {
  image: string;
}

export type BestThresholds = Record<"f1" | "dice" | "ap50", ThresholdMetrics> &
  Partial<Record<OptimizableMetric, ThresholdMetrics>>;

export interface Evaluation {
  summary: Summary & {
    /** Over all true cells of all images. */
    meanPromptIou: number | null;
  };
  images: ImageEvaluation[];
  /** Only with `optimizeThreshold`: the detection threshold that is best for each metric on these images. */
  best?: BestThresholds;
  /** Only with `optimizeThreshold`: how many thresholds were compared. */
  searchedThresholds?: number;
  /** Only with `thresholds`: the metrics at each of them. */
  at?: Record<string, ThresholdMetrics>;
  /** Only with `keepGoing`. */
  failures?: EvaluationFailure[];
}

export interface EvaluateModelOptions {
  /** Also finds the best detection thresholds, in the same inference pass: for f1, dice, ap50 and the metrics of the list. */
  optimizeThreshold?: boolean | readonly OptimizableMetric[];
  /** Also measures at these detection thresholds, in the same pass, such as thresholds tuned on other images. */
  thresholds?: Record<string, number>;
  /** A fixed detection threshold in place of the configured rule. */
  bboxThreshold?: number;
  /** An image that fails is listed in `failures` and does not end the evaluation. */
  keepGoing?: boolean;
}

export interface EvaluationContext {
  session: Session;
  config: IntensityConfig &
    Omit<ReadingOptions, "binaryMasks"> & {
      inference: InferenceConfig;
      evaluation?: EvaluationConfig;
      binaryMasks: boolean;
      /** Side of the training tiles. */
      tileSize: number;
    };
  emit: (event: TrainingEvent) => void;
  signal?: AbortSignal | undefined;
  /** Keeps what is measured of each image. */
  keep?: ((measured: Measured) => Promise<void>) | undefined;
  /** Default measureImages. */
  measureImages?: MeasureImages | undefined;
}

/** Measures images and hands out what was measured of each, or why it could not be, in their order. */
export type MeasureImages = (
  context: EvaluationContext,
  pairs: readonly Pair[],
  options: EvaluateModelOptions,
) => AsyncIterable<Measured | EvaluationFailure>;

/** What is measured of an image, and what a summary is made from besides. */
export interface Measured {
  image: ImageEvaluation;
  promptIous: number[];
  sweep: ImageSweep | null;
}

/**
 * Predicts and measures every image of `pairs`.
 * @throws the signal's reason when it fires; any other fault as a CellsamError that names the image
 */
export async function evaluateModel(
  context: EvaluationContext,
  pairs: readonly Pair[],
  options: EvaluateModelOptions = {},
): Promise<Evaluation> {
  const measured: Measured[] = [];
  const failures: EvaluationFailure[] = [];
  let done = 0;
  for await (const result of (context.measureImages ?? measureImages)(context, pairs, options)) {
    if ("code" in result) failures.push(result);
    else measured.push(result);
    context.emit({ type: "progress", task: "evaluate", done: ++done, total: pairs.length });
  }
  return sumUp(measured, failures, options);
}

/** Measures images with the session of this process, as many at a time as it can. @throws as evaluateModel */
export function measureImages(
  context: EvaluationContext,
  pairs: readonly Pair[],
  options: EvaluateModelOptions,
): AsyncIterable<Measured | EvaluationFailure> {
  const { session, signal } = context;
  const work = async (pair: Pair, _: number, stop: AbortSignal): Promise<Measured | EvaluationFailure> => {
    try {
      stop.throwIfAborted();
      const one = await measure({ ...context, signal: stop }, pair, options);
      await context.keep?.(one);
      return one;
    } catch (cause) {
      stop.throwIfAborted();
      const error = ofImage(pair, cause);
      if (!options.keepGoing || error.code === "ERR_DISPOSED") throw error;
      return { image: pair.source, code: error.code, message: error.message };
    }
  };
  const left = () => new CellsamError("ERR_CANCELLED", "the evaluation ended before this image was measured");
  return inOrder(pairs, { atOnce: session.concurrency + 1, work, left, signal });
}

/** The evaluation of images that were measured one by one. */
export function sumUp(measured: readonly Measured[], failures: EvaluationFailure[], options: EvaluateModelOptions): Evaluation {
  const images = measured.map(({ image }) => image);
  const promptIous = measured.flatMap((one) => one.promptIous);
  const summary = { ...summarize(images.map(({ metrics }) => metrics)), meanPromptIou: meanOrNull(promptIous) };
  const sweeps = measured.map(({ sweep }) => sweep).filter((sweep) => sweep !== null);
  const evaluation: Evaluation = { summary, images };
  if (options.optimizeThreshold) {
    const more = options.optimizeThreshold === true ? [] : options.optimizeThreshold;
    const { best, searched } = optimizeThresholds(sweeps, [...new Set(["f1", "dice", "ap50", ...more] as const)]);
    Object.assign(evaluation, { best, searchedThresholds: searched });
  }
  if (options.thresholds) {
    const rows = metricsAt(sweeps, Object.values(options.thresholds));
    evaluation.at = Object.fromEntries(Object.keys(options.thresholds).map((name, i) => [name, rows[i] as ThresholdMetrics]));
  }
  return options.keepGoing ? { ...evaluation, failures } : evaluation;
}

async function measure(context: EvaluationContext, pair: Pair, options: EvaluateModelOptions): Promise<Measured> {
  const { session, config, signal } = context;
  const { bboxThreshold = null, optimizeThreshold = false, thresholds } = options;
  const inference = { ...predictOptions(config, config.tileSize), ...fixedThreshold(bboxThreshold) };
  const { thresholdFloor = 0.01, maxCandidates = 1000, ...measures } = config.evaluation ?? {};
  const image = await pairImage(pair, config);
  const labels = await pairLabels(pair, config);
  let prediction: Prediction;
  let sweep: ImageSweep | null = null;
  if (optimizeThreshold !== false || thresholds) {
    const given = Object.values(thresholds ?? {});
    // Given thresholds need every detection above them, however many there are; a search may be limited to the best ones.
    const limits = optimizeThreshold
      ? { floor: Math.min(thresholdFloor, ...given), maxCandidates }
      : { floor: Math.min(1, ...given), maxCandidates: Number.MAX_SAFE_INTEGER };
    const candidates = await session.candidates({ image, ...inference, ...limits, signal });
    prediction = await assemblePrediction(candidates, inference);
    sweep = await sweepThresholds(candidates, labels, inference);
  } else {
    prediction = await session.predict({ image, ...inference, signal });
  }
  const prompted = await session.promptIou({ image, labels, ...inference, signal });
  const promptIous = [...prompted.ious.data];
  const metrics = await evaluatePair(labels, prediction.labels, { ...measures, scores: prediction.scores });
  return { image: { image: pair.source, metrics, meanPromptIou: meanOrNull(promptIous) }, promptIous, sweep };
}

/** optimal_thresholds.json: by metric the best threshold, its score, and how many thresholds were compared. */
export function optimalThresholds({ best, searchedThresholds = 0 }: Pick<Evaluation, "best" | "searchedThresholds">) {
  const rows = Object.entries(best ?? {}) as [OptimizableMetric, ThresholdMetrics][];
  return Object.fromEntries(
    rows.map(([metric, row]) => [
      metric,
      {
        threshold: row.threshold,
        score: row[metric],
        searchHistory: searchedThresholds,
        metrics: row,
        settings: { bboxThreshold: row.threshold, adaptiveThreshold: false },
      },
    ]),
  );
}
