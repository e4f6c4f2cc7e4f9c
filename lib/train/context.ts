/** What the parts of a run share: while it lasts, and while one of its folds is trained. */
import type { ExperimentConfig } from "../config/experiment.js";
import type { Slots } from "../config/pool.js";
import type { CheckedPair } from "../data/check.js";
import type { Splits } from "../data/split.js";
import type { Session } from "../engine/session.js";
import type { MeasureImages } from "../evaluation/model.js";
import type { TrainingEvent } from "../events.js";
import type { Log } from "../monitor/log.js";
import type { Strategy } from "../strategies/strategy.js";
import type { Checkpoints } from "./checkpoints.js";
import type { LossWeightSchedule, RunnerOptions } from "./options.js";
import type { OutputTree } from "./outputTree.js";
import type { RunState } from "./resume.js";
import type { TileStore } from "./tiles.js";

/** What an ExperimentRunner was made for. */
export interface Experiment {
  config: ExperimentConfig;
  tree: OutputTree;
  options: RunnerOptions;
  /** Where the folds are trained. */
  slots: Slots;
  strategy: Strategy;
  /** How images are measured, where several processes run the experiment. */
  measureImages?: MeasureImages | undefined;
}

export interface RunContext {
  config: ExperimentConfig;
  tree: OutputTree;
  /** How many folds there are. */
  folds: number;
  /** Name of the strategy. */
  strategy: string;
  /** All images of the experiment. */
  pairs: readonly CheckedPair[];
  store: TileStore;
  /** Changes during the run, and is written to run.json at every save. */
  state: RunState;
  log: Log;
  emit: (event: TrainingEvent) => void;
  /** Emits a notice. */
  warn: (message: string) => void;
  /** Waits for the write of a file without which training can go on; a failure is a notice, once a file. */
  writeIfPossible: (path: string, writing: Promise<unknown>) => Promise<void>;
  signal: AbortSignal | undefined;
  lossWeights: LossWeightSchedule | undefined;
  measureImages?: MeasureImages | undefined;
}

export interface FoldContext extends RunContext {
  /** Counted from 1. */
  fold: number;
  split: Splits;
  /** The fold's model, which belongs to the caller of `trainFold`. */
  session: Session;
  checkpoints: Checkpoints;
  /** Tiles of the store by number; none validate where everything trains. */
  trainTiles: Int32Array;
  valTiles: Int32Array;
  /** The images that the fold is evaluated on: for validation, or those that train where nothing validates. */
  images: readonly CheckedPair[];
}
