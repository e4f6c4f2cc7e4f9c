/** One fold of an experiment: a fresh model, both stages, the evaluation of its best weights, its part of the result files. */
import { existsSync } from "node:fs";
import type { ExperimentConfig } from "../config/experiment.js";
import type { CheckedPair } from "../data/check.js";
import type { Splits } from "../data/split.js";
import type { Device, Session } from "../engine/session.js";
import { emptyPredictions, worseThanBefore } from "../evaluation/judgement.js";
import { type Evaluation, evaluateModel, type ImageEvaluation } from "../evaluation/model.js";
import type { TrainingEvent } from "../events.js";
import { CheckpointManager } from "../monitor/checkpointManager.js";
import { readJson, writeJson } from "../monitor/json.js";
import type { Log } from "../monitor/log.js";
import { toSnake } from "../spelling.js";
import type { FoldContext } from "./foldContext.js";
import { MultiStageTrainer } from "./multiStage.js";
import type { LossWeightSchedule } from "./options.js";
import type { OutputTree } from "./outputTree.js";
import { drawExtremes } from "./pictures.js";
import { type FoldResult, flatMetrics, type TestResult } from "./results.js";
import { beginFold, type RunState, writeRunState } from "./resume.js";
import { type TileStore, tilesOf } from "./tiles.js";

const logger = "cellsam.runner";

/** What all folds of an experiment share. */
export interface FoldRun {
  config: ExperimentConfig;
  tree: OutputTree;
  folds: number;
  /** Name of the strategy. */
  strategy: string;
  device: Device;
  pairs: readonly CheckedPair[];
  store: TileStore;
  state: RunState;
  log: Log;
  warn: (message: string) => void;
  emit: (event: TrainingEvent) => void;
  signal: AbortSignal | undefined;
  lossWeights: LossWeightSchedule | undefined;
}

/** The tiles of both sides of a split; none validate where everything trains. @throws CellsamError ERR_SPLIT when a side holds no cell */
export function splitTiles(store: TileStore, split: Splits): { trainTiles: Int32Array; valTiles: Int32Array } {
  const valTiles = split.val.length > 0 ? tilesOf(store, split.val, "validation") : new Int32Array();
  return { trainTiles: tilesOf(store, split.train, "training"), valTiles };
}

/**
 * Trains and evaluates fold number `fold` (from 1), or what is left of it, and adds its result to the run state. `session` holds
 * the model to start from, and is disposed of.
 */
export async function trainFold(fold: number, split: Splits, session: Session, run: FoldRun): Promise<void> {
  const { config, tree, folds, strategy, device, store, state, log, warn, emit, signal, lossWeights } = run;
  try {
    const { trainTiles, valTiles } = splitTiles(store, split);
    const count = (images: string[], tiles: Int32Array) => `${images.length} images (${tiles.length} tiles)`;
    log.info(logger, `fold ${fold}: ${count(split.train, trainTiles)} train, ${count(split.val, valTiles)} validate`);
    const { outputName: experimentName, keepBestOnly, keepLastN } = config;
    const kept = { experimentName, keepBestOnly, keepLastN };
    const checkpoints = new CheckpointManager({ checkpointDir: tree.models(fold), resumeDir: tree.resume, fold, ...kept });
    const tiles = { store: store.path, trainTiles, valTiles };
    const evaluatedOn = split.val.length > 0 ? "validation" : "training";
    const of = (stems: readonly string[]) => run.pairs.filter(({ stem }) => stems.includes(stem));
    const images = of(evaluatedOn === "validation" ? split.val : split.train);
    const given = { config, tree, fold, folds, session, checkpoints };
    const context: FoldContext = { ...given, ...tiles, images, state, log, warn, emit, signal, lossWeights };
    const tellEmpty = (summary: Evaluation["summary"], what: string) => {
      const alarm = emptyPredictions(summary, what);
      if (alarm) warn(alarm);
    };
    const { test: testStems = [] } = split;
    const untouched = state.progress === null && Object.keys(state.stages).length === 0;
    if (config.preeval && untouched) {
      const { summary } = await evaluateModel(context, images);
      tellEmpty(summary, `fold ${fold}, before training`);
      state.preeval = summary;
      await writePreeval(run, fold);
      log.info(logger, `before training: ${rates(summary)}`);
    }
    const finalModelPath = await new MultiStageTrainer(context).run();
    const evaluation = await evaluateModel(context, images, { optimizeThreshold: true });
    const { f1: bestF1 = null, dice: bestDice = null, ap50: bestAp50 = null } = evaluation.best ?? {};
    const test = testStems.length > 0 ? await testModel(context, of(testStems), { bestF1, bestDice, bestAp50 }) : null;
    if (test) log.info(logger, `test images: ${rates(test.summary)}`);
    await writeImages(run, fold, evaluation.images);
    if (config.saveVisualizations) await drawExtremes(context, images, evaluation.images, tree.visualizations(fold));
    log.info(logger, `${evaluatedOn} images: ${rates(evaluation.summary)}`);
    tellEmpty(evaluation.summary, `fold ${fold}, ${evaluatedOn} images`);
    const worse = worseThanBefore(state.preeval ?? {}, evaluation.summary, `fold ${fold}`);
    if (worse) warn(worse);
    const stage1 = state.stages[1] ?? null;
    const stage2 = state.stages[2] ?? null;
    const result: FoldResult = {
      fold,
      strategy,
      stage1,
      stage2,
      totalEpochs: (stage1?.finalEpoch ?? 0) + (stage2?.finalEpoch ?? 0),
      finalModelPath,
      device,
      trainImages: split.train.length,
      valImages: split.val.length,
      testImages: testStems.length,
      evaluatedOn,
      evaluation: evaluation.summary,
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
  } finally {
    await session.dispose();
  }
}

function rates({ ap50, meanAp, f1, pq, meanPromptIou }: Evaluation["summary"]): string {
  const numbers = { "AP at .5": ap50, "mean AP": meanAp, F1: f1, PQ: pq, "mean IoU with true boxes": meanPromptIou };
  return Object.entries(numbers)
    .map(([name, value]) => `${name} ${value?.toFixed(4) ?? "-"}`)
    .join(", ");
}

/** Adds to results/per_image.json; a fold that is evaluated again replaces its own rows. */
async function writeImages({ tree, folds }: FoldRun, fold: number, images: ImageEvaluation[]): Promise<void> {
  const rows = images.map((image) => toSnake(folds === 1 ? image : { fold, ...image }) as { fold?: number });
  const before = folds > 1 && existsSync(tree.perImage) ? await readJson<{ fold: number }[]>(tree.perImage) : [];
  await writeJson(tree.perImage, joinedRows(before, fold, rows));
}

/** Rows of all folds in their order, the rows of `fold` replaced. */
function joinedRows(before: readonly { fold?: number }[], fold: number, rows: readonly { fold?: number }[]) {
  const others = before.filter((row) => row.fold !== fold);
  return [...others, ...rows].sort((a, b) => (a.fold ?? 1) - (b.fold ?? 1));
}

/** The start model's numbers: of the only fold, or a list with the fold beside them. */
async function writePreeval({ tree, folds, state }: FoldRun, fold: number): Promise<void> {
  if (folds === 1) return writeJson(tree.preeval, toSnake(state.preeval));
  const before = state.results.flatMap(({ fold: other, preeval }) => (preeval ? [{ fold: other, ...preeval }] : []));
  await writeJson(tree.preeval, toSnake(joinedRows(before, fold, [{ fold, ...state.preeval }])));
}

/** Measures the held-out images; nothing is chosen by them, also no threshold. */
async function testModel(
  context: FoldContext,
  images: CheckedPair[],
  tuned: Pick<FoldResult, "bestF1" | "bestDice" | "bestAp50">,
): Promise<TestResult> {
  const known = Object.entries(tuned).flatMap(([name, row]): [string, number][] => (row ? [[name, row.threshold]] : []));
  const { summary, at = {} } = await evaluateModel(context, images, { thresholds: Object.fromEntries(known) });
  const row = (name: string) => at[name] ?? null;
  return { images: images.length, summary, bestF1: row("bestF1"), bestDice: row("bestDice"), bestAp50: row("bestAp50") };
}
