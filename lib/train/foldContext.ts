/** What the parts of a run share while one fold is trained. */
import type { ExperimentConfig } from "../config/experiment.js";
import type { CheckedPair } from "../data/check.js";
import type { Session } from "../engine/session.js";
import type { TrainingEvent } from "../events.js";
import type { CheckpointManager } from "../monitor/checkpointManager.js";
import type { Log } from "../monitor/log.js";
import type { LossWeightSchedule } from "./options.js";
import type { OutputTree } from "./outputTree.js";
import type { RunState } from "./resume.js";

export interface FoldContext {
  config: ExperimentConfig;
  tree: OutputTree;
  fold: number;
  folds: number;
  session: Session;
  checkpoints: CheckpointManager;
  /** Path of the tile store, and which of its tiles train and validate. */
  store: string;
  trainTiles: Int32Array;
  valTiles: Int32Array;
  /** The validation images, or the training images where nothing validates. */
  images: readonly CheckedPair[];
  /** Changed by the stages as they go on, and written to run.json at every save. */
  state: RunState;
  log: Log;
  /** A line in the log and an event. */
  warn: (message: string) => void;
  emit: (event: TrainingEvent) => void;
  signal: AbortSignal | undefined;
  lossWeights: LossWeightSchedule | undefined;
}
