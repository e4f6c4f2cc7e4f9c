/**
 * Measures a model on whole images, through the same prediction that users call: cells found (detector and masks together) and,
 * separately, how good the masks are when the boxes are right.
 */
import { type InferenceConfig, predictOptions } from "../config/inference.js";
import { decodeImage, decodeLabels } from "../data/decode.js";
import type { Pair } from "../data/discover.js";
import { evaluatePair, type PairEvaluation, type Summary, summarize } from "../evaluation.js";
import type { TrainingEvent } from "../events.js";
import { mean } from "../monitor/metricsTracker.js";
import type { Session } from "../session.js";
import { imageArray, labelArray } from "./tiles.js";

export interface ImageEvaluation {
  image: string;
  metrics: PairEvaluation;
  /** Mean IoU of the masks prompted with the true boxes; null for an image without cells. */
  meanPromptIou: number | null;
}

export interface Evaluation {
  summary: Summary & {
    /** Over all true cells of all images. */
    meanPromptIou: number | null;
  };
  images: ImageEvaluation[];
}

export interface EvaluationContext {
  session: Session;
  config: {
    normalize: boolean;
    intensity: "percentile" | "full";
    greyChannel: "blue" | "all";
    inference: InferenceConfig;
    binaryMasks: boolean;
    /** Side of the training tiles. */
    tileSize: number;
  };
  emit: (event: TrainingEvent) => void;
  signal?: AbortSignal | undefined;
}

/** Predicts and measures every image of `pairs`. @throws the signal's reason when it fires */
export async function evaluateModel(context: EvaluationContext, pairs: readonly Pair[]): Promise<Evaluation> {
  const { session, config, emit, signal } = context;
  const options = predictOptions(config, config.tileSize);
  const images: ImageEvaluation[] = [];
  const promptIous: number[] = [];
  for (const [i, { stem, image: imagePath, mask }] of pairs.entries()) {
    signal?.throwIfAborted();
    const image = imageArray(await decodeImage(imagePath));
    const labels = labelArray(await decodeLabels(mask as string, { binaryMasks: config.binaryMasks }));
    const prediction = await session.predict({ image, ...options, signal });
    const prompted = await session.promptIou({ image, labels, ...options, signal });
    const ious = [...prompted.ious.data];
    promptIous.push(...ious);
    images.push({ image: stem, metrics: await evaluatePair(labels, prediction.labels), meanPromptIou: mean(ious) });
    emit({ type: "progress", task: "evaluate", done: i + 1, total: pairs.length });
  }
  return { summary: { ...summarize(images.map(({ metrics }) => metrics)), meanPromptIou: mean(promptIous) }, images };
}
