/** One fold of an experiment: a fresh model, both stages, the evaluation of its best weights, its part of the result files. */
import type { ExperimentConfig } from "../config/experiment.js";
import { toSnake } from "../config/python.js";
import type { CheckedPair } from "../data/check.js";
import type { Splits } from "../data/split.js";
import type { TrainingEvent } from "../events.js";
import { CheckpointManager } from "../monitor/checkpointManager.js";
import { readJson, writeJson } from "../monitor/json.js";
import type { Log } from "../monitor/log.js";
import type { Device, Session } from "../session.js";
import { type Evaluation, evaluateModel, type ImageEvaluation } from "./finalEvaluation.js";
import type { FoldContext } from "./foldContext.js";
import { MultiStageTrainer } from "./multiStage.js";
import type { OutputTree } from "./outputTree.js";
import { drawExtremes } from "./pictures.js";
import { type RunState, writeRunState } from "./resume.js";
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
}

/** The tiles of both sides of a split. @throws CellsamError ERR_SPLIT when a side holds no cell */
export function splitTiles(store: TileStore, split: Splits): { trainTiles: Int32Array; valTiles: Int32Array } {
  return { trainTiles: tilesOf(store, split.train, "training"), valTiles: tilesOf(store, split.val, "validation") };
}

/**
 * Trains and evaluates fold number `fold` (from 1), or what is left of it, and adds its result to the run state. `session` holds
 * the model to start from, and is disposed of.
 */
export async function trainFold(fold: number, split: Splits, session: Session, run: FoldRun): Promise<void> {
  const { config, tree, folds, strategy, device, store, state, log, warn, emit, signal } = run;
  try {
    const { trainTiles, valTiles } = splitTiles(store, split);
    const count = (images: string[], tiles: Int32Array) => `${images.length} images (${tiles.length} tiles)`;
    log.info(logger, `fold ${fold}: ${count(split.train, trainTiles)} train, ${count(split.val, valTiles)} validate`);
    const checkpoints = new CheckpointManager({ checkpointDir: tree.models(fold), resumeDir: tree.resume, fold });
    const tiles = { store: store.path, trainTiles, valTiles };
    const context: FoldContext = { config, tree, fold, folds, session, checkpoints, ...tiles, state, log, warn, emit, signal };
    const validation = new Set(split.val);
    const images = run.pairs.filter(({ stem }) => validation.has(stem));
    const untouched = state.progress === null && Object.keys(state.stages).length === 0;
    if (config.preeval && fold === 1 && untouched) {
      const { summary } = await evaluateModel(context, images);
      await writeJson(tree.preeval, toSnake(summary));
      log.info(logger, `before training: ${rates(summary)}`);
    }
    const finalModelPath = await new MultiStageTrainer(context).run();
    const evaluation = await evaluateModel(context, images);
    await writeImages(run, fold, evaluation.images);
    if (config.saveVisualizations) await drawExtremes(context, images, evaluation.images, tree.visualizations(fold));
    log.info(logger, `validation images: ${rates(evaluation.summary)}`);
    const stage1 = state.stages[1] ?? null;
    const stage2 = state.stages[2] ?? null;
    state.results.push({
      fold,
      strategy,
      stage1,
      stage2,
      totalEpochs: (stage1?.finalEpoch ?? 0) + (stage2?.finalEpoch ?? 0),
      finalModelPath,
      device,
      trainImages: split.train.length,
      valImages: split.val.length,
      evaluation: evaluation.summary,
    });
    Object.assign(state, { fold: fold + 1, progress: null, stages: {} });
    await writeRunState(tree.runState, state);
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
  const before = fold > 1 ? await readJson<{ fold: number }[]>(tree.perImage) : [];
  await writeJson(tree.perImage, [...before.filter((row) => row.fold < fold), ...rows]);
}
