/**
 * One fold of an experiment: both stages from a fresh model, the evaluation of its best weights, its part of the result files.
 */
import type { CheckedPair } from "../data/check.js";
import type { Session } from "../engine/session.js";
import { emptyPredictions, worseThanBefore } from "../evaluation/judgement.js";
import { type EvaluateModelOptions, type Evaluation, evaluateModel, type ImageEvaluation } from "../evaluation/model.js";
import { toSnake } from "../spelling.js";
import { Checkpoints } from "./checkpoints.js";
import type { FoldContext, RunContext } from "./context.js";
import { addRows, writePreeval } from "./foldRows.js";
import { drawExtremes } from "./pictures.js";
import { type FoldResult, flatMetrics, type TestResult } from "./results.js";
import { beginFold, writeRunState } from "./resume.js";
import { trainStages } from "./stages.js";
import { splitTiles } from "./tiles.js";
import { tunedThreshold } from "./tunedThreshold.js";

const logger = "cellsam.runner";

/**
 * Trains and evaluates fold number `fold` (from 1), or what is left of it, and adds its result to the run state. `session`
 * holds the model to start from, and remains the caller's.
 */
export async function trainFold(fold: number, session: Session, run: RunContext): Promise<void> {
  const { config, tree, folds, state, log, emit } = run;
  const context = foldContext(fold, session, run);
  const { split, images, trainTiles, valTiles } = context;
  const count = (names: string[], tiles: Int32Array) => `${names.length} images (${tiles.length} tiles)`;
  log.info(logger, `fold ${fold}: ${count(split.train, trainTiles)} train, ${count(split.val, valTiles)} validate`);

  const untouched = state.progress === null && Object.keys(state.stages).length === 0;
  if (config.preeval && untouched) await evaluateBefore(context);
  const finalModelPath = await trainStages(context);

  const asConfigured = await evaluateModel(context, images, { optimizeThreshold: true });
  const { f1: bestF1 = null, dice: bestDice = null, ap50: bestAp50 = null } = asConfigured.best ?? {};
  const threshold = split.val.length > 0 ? tunedThreshold(config, asConfigured) : null;
  const evaluation = threshold === null ? asConfigured : await evaluateTuned(context, asConfigured, threshold);
  const test = await evaluateTest(context, { bestF1, bestDice, bestAp50 }, threshold);
  await writeImages(context, tree.perImage, evaluation.images);
  if (config.saveVisualizations) await drawExtremes(context, images, evaluation.images, tree.visualizations(fold), threshold);
  const evaluatedOn = split.val.length > 0 ? "validation" : "training";
  log.info(logger, `${evaluatedOn} images: ${rates(evaluation.summary)}`);
  warnOf(context, emptyPredictions(evaluation.summary, `fold ${fold}, ${evaluatedOn} images`));
  warnOf(context, worseThanBefore(state.preeval ?? {}, evaluation.summary, `fold ${fold}`));

  const stage1 = state.stages[1] ?? null;
  const stage2 = state.stages[2] ?? null;
  const result: FoldResult = {
    fold,
    strategy: run.strategy,
    stage1,
    stage2,
    totalEpochs: (stage1?.finalEpoch ?? 0) + (stage2?.finalEpoch ?? 0),
    finalModelPath,
    device: state.device,
    trainImages: split.train.length,
    valImages: split.val.length,
    testImages: split.test?.length ?? 0,
    evaluatedOn,
    evaluation: evaluation.summary,
    tunedThreshold: threshold,
    evaluationAsConfigured: threshold === null ? null : asConfigured.summary,
    bestF1,
    bestDice,
    bestAp50,
    preeval: state.preeval,
    test,
    error: null,
  };
  state.results.push(result);
  beginFold(state, fold + 1);
  await writeRunState(tree.runState, state);
  emit({ type: "fold", fold, folds, state: "end", metrics: flatMetrics(result) });
}

function foldContext(fold: number, session: Session, run: RunContext): FoldContext {
  const { config, tree, store, state } = run;
  const split = state.splits[fold - 1] as FoldContext["split"];
  const { outputName: experimentName, keepBestOnly, keepLastN } = config;
  const kept = { experimentName, keepBestOnly, keepLastN };
  const checkpoints = new Checkpoints({ checkpointDir: tree.models(fold), resumeDir: tree.resume, fold, ...kept });
  const images = pairsOf(run, split.val.length > 0 ? split.val : split.train);
  return { ...run, fold, split, session, checkpoints, images, ...splitTiles(store, split) };
}

function pairsOf({ pairs }: RunContext, names: readonly string[]): CheckedPair[] {
  const wanted = new Set(names);
  return pairs.filter(({ source }) => wanted.has(source));
}

function warnOf({ warn }: RunContext, message: string | null): void {
  if (message) warn(message);
}

/** Measures the model that the fold starts from. */
async function evaluateBefore(context: FoldContext): Promise<void> {
  const { fold, images, state, log, tree } = context;
  const { summary, images: measured } = await evaluateModel(context, images);
  await writeImages(context, tree.preevalPerImage, measured);
  warnOf(context, emptyPredictions(summary, `fold ${fold}, before training`));
  state.preeval = summary;
  await context.writeIfPossible(context.tree.preeval, writePreeval(context, fold, summary));
  log.info(logger, `before training: ${rates(summary)}`);
}

/** Measures the model at the threshold that was tuned for it. */
function evaluateTuned(context: FoldContext, { summary }: Evaluation, threshold: number): Promise<Evaluation> {
  const { log, images } = context;
  log.info(logger, `at the configured detection threshold: ${rates(summary)}; ${threshold} is better and is used from here on`);
  return evaluateModel(context, images, fixed(threshold));
}

function fixed(threshold: number | null): EvaluateModelOptions {
  return threshold === null ? {} : { bboxThreshold: threshold };
}

/** Measures the held-out images, if there are any. Nothing is chosen by their scores, not even a threshold. */
async function evaluateTest(
  context: FoldContext,
  tuned: Pick<FoldResult, "bestF1" | "bestDice" | "bestAp50">,
  threshold: number | null,
): Promise<TestResult | null> {
  const images = pairsOf(context, context.split.test ?? []);
  if (images.length === 0) return null;
  const known = Object.entries(tuned).flatMap(([name, row]): [string, number][] => (row ? [[name, row.threshold]] : []));
  const { summary, at = {} } = await evaluateModel(context, images, {
    ...fixed(threshold),
    thresholds: Object.fromEntries(known),
  });
  context.log.info(logger, `test images: ${rates(summary)}`);
  const row = (name: string) => at[name] ?? null;
  return { images: images.length, summary, bestF1: row("bestF1"), bestDice: row("bestDice"), bestAp50: row("bestAp50") };
}

function rates({ ap50, meanAp, f1, pq, meanPromptIou }: Evaluation["summary"]): string {
  const numbers = { "AP at .5": ap50, "mean AP": meanAp, F1: f1, PQ: pq, "mean IoU with true boxes": meanPromptIou };
  return Object.entries(numbers)
    .map(([name, value]) => `${name} ${value?.toFixed(4) ?? "-"}`)
    .join(", ");
}

function writeImages(context: FoldContext, path: string, images: ImageEvaluation[]): Promise<void> {
  const { fold, folds } = context;
  return addRows(
    context,
    path,
    fold,
    images.map((image) => toSnake(folds === 1 ? image : { fold, ...image }) as { fold?: number }),
  );
}
