/** Runs an experiment: locks its name, prepares the data, trains the folds, and logs how it ended. */
import { join } from "node:path";
import { loadEngine } from "../engine/native.js";
import type { TrainingEvent } from "../events.js";
import { sweepTemporaries } from "../files/temporaries.js";
import type { Experiment } from "./context.js";
import { foldsSaved } from "./foldApart.js";
import { completeRun, trainFolds } from "./folds.js";
import { lockExperiment } from "./lock.js";
import { prepareRun } from "./prepare.js";
import type { FoldResult } from "./results.js";
import { RunRecord } from "./runRecord.js";
import { placeIn, runTogether } from "./together.js";

/** Returns one result a fold. `emit` gets every event. @throws what ExperimentRunner.run rejects with */
export async function runExperiment(experiment: Experiment, emit: (event: TrainingEvent) => void): Promise<FoldResult[]> {
  const place = placeIn(experiment);
  if (!place) return runHere(experiment, emit);
  return runTogether(place, experiment, emit, (shared) => runHere(shared, emit));
}

async function runHere(experiment: Experiment, emit: (event: TrainingEvent) => void): Promise<FoldResult[]> {
  const { config, tree, options } = experiment;
  const { signal } = options;
  const record = new RunRecord(config, tree, emit);
  let unlock: (() => Promise<void>) | undefined;
  try {
    signal?.throwIfAborted();
    // A missing libtorch, or a name that is taken, is reported before the data are read.
    if (!options.openSession) loadEngine();
    unlock = await lockExperiment(config.outputDir, config.outputName);
    if (options.resume || options.overwrite) await foldsSaved(tree, record.warn, signal);
    // No other process can be writing there; the tiles are shared with other experiments.
    if (options.resume) await sweepTemporaries(tree.root, { idleMs: 0, subfolders: true });
    await sweepTemporaries(join(config.outputDir, ".tiles"));
    const prepared = await prepareRun(experiment, record);
    if ("finished" in prepared) return await completeRun(experiment, prepared.finished, record);
    return await trainFolds(experiment, prepared, record);
  } catch (error) {
    const stopped = signal?.aborted && error === signal.reason;
    if (stopped) record.log?.info("cellsam.runner", "experiment stopped; it can be resumed");
    else record.log?.error("cellsam.runner", error instanceof Error ? (error.stack ?? error.message) : String(error));
    throw error;
  } finally {
    await unlock?.();
    record.close();
  }
}
