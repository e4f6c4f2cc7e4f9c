/** Trains the folds of a run, records those that fail, and writes the files about all of them. */
import { existsSync } from "node:fs";
import { arch, platform } from "node:process";
import { isElsewhere, type Slots } from "../config/pool.js";
import { stageOptions } from "../config/stageOptions.js";
import type { Splits } from "../data/split.js";
import { openSession, type Session } from "../engine/session.js";
import { CellsamError, type Failure, failureOf } from "../errors.js";
import { writeJson } from "../files/json.js";
import { openModel } from "../predict/model.js";
import { writeExperimentReport } from "../report/experimentReport.js";
import { toSnake } from "../spelling.js";
import { packageVersion } from "../version.js";
import type { Experiment, RunContext } from "./context.js";
import { duplicateReport, duplicateWarning } from "./duplicates.js";
import { trainFold } from "./fold.js";
import { type FoldHost, isApart, joinFold, removeApart, trainApart } from "./foldApart.js";
import { FoldModel } from "./foldModel.js";
import { type FoldPool, trainInPool } from "./foldPool.js";
import { completeFiles } from "./knownFiles.js";
import { isPooled } from "./pooled.js";
import type { PreparedRun } from "./prepare.js";
import { type FoldResult, failedResult, writeResults } from "./results.js";
import { beginFold, isChangedInput, type RunState, writeRunState } from "./resume.js";
import type { RunRecord } from "./runRecord.js";
import { splitTiles } from "./tiles.js";

const logger = "cellsam.runner";

/**
 * Trains the folds that are left and returns the results of all.
 * @throws CellsamError ERR_ALL_FOLDS_FAILED; what stops a single fold
 */
export async function trainFolds(
  { config, tree, options, slots, strategy, measureImages }: Experiment,
  { pairs, store, state, resumed }: PreparedRun,
  record: RunRecord,
): Promise<FoldResult[]> {
  const { signal, lossWeights, overwrite } = options;
  const { splits, device } = state;
  const folds = splits.length;
  const left = splits.map((_, i) => i + 1).filter((fold) => state.results.every((result) => result.fold !== fold));
  const pooled = isPooled(slots, folds);
  const open = options.openSession ?? openSession;
  const model = new FoldModel(async () => (await openModel(config, { device, open, warn: record.warn })).session);
  try {
    // Errors of the model are found before an earlier experiment is removed.
    if (left.length > 0 && !pooled) await model.ready();
    signal?.throwIfAborted();
    if (!resumed) {
      if (overwrite && existsSync(tree.root)) {
        const trainTiles = splitTiles(store, splits[0] as Splits).trainTiles.length;
        // Other machines open the model for themselves. Afterwards it is unfit for training.
        if (!isElsewhere(slots)) await model.use((session) => tryStages(session, config, trainTiles));
        if (!pooled) await model.ready();
        await tree.clear();
      }
      await writeRunState(tree.runState, state);
    }
    const facts = {
      packageVersion,
      created: state.created,
      deviceUsed: device,
      platform: `${platform}-${arch}`,
      node: process.version,
    };
    if (!existsSync(tree.config))
      await writeJson(tree.config, toSnake({ ...config, strategy: strategy.name, environment: facts }));
    await writeJson(tree.splits, folds === 1 ? splits[0] : splits);

    const started = Date.now();
    const log = record.open();
    const how = resumed ? "resumed" : "started";
    log.info(logger, `${how}: ${config.outputName}, ${pairs.length} images, device ${device}, version ${packageVersion}`);
    for (const note of options.notes ?? []) log.info(logger, note);
    record.logMemory("Experiment Start");
    for (const { source, notes } of pairs) for (const note of notes) log.info("cellsam.data", `${source}: ${note}`);
    const { emit, warn, writeIfPossible } = record;
    const own = { config, tree, folds, strategy: strategy.name, pairs, store, state };
    const run: RunContext = { ...own, log, emit, warn, writeIfPossible, signal, lossWeights, measureImages };
    await reportDuplicates(run);
    if (pooled) {
      await model.dispose();
      await trainInPool(left, poolOf(slots, run));
    } else for (const fold of left) await trainHere(fold, model, run);
    state.results.sort((a, b) => a.fold - b.fold);
    await completeFiles(run);
    state.status = "finished";
    await writeResults(tree, state.results);
    await writeRunState(tree.runState, state);
    await writeReport(run);
    strategy.takeResults?.(state.results);
    conclude(run, (Date.now() - started) / 1000);
    return state.results;
  } finally {
    await model.dispose();
  }
}

/** Writes what a full disk has kept from being written of a run that has nothing left to do, and returns its results. */
export async function completeRun({ config, tree }: Experiment, state: RunState, record: RunRecord): Promise<FoldResult[]> {
  const { warn, writeIfPossible } = record;
  await completeFiles({ config, tree, state, folds: state.splits.length, writeIfPossible });
  if (!existsSync(tree.report)) await writeReport({ tree, warn });
  return state.results;
}

async function writeReport({ tree, warn }: Pick<RunContext, "tree" | "warn">): Promise<void> {
  await writeExperimentReport(tree.root).catch((error: Error) => warn(`the report was not written: ${error.message}`));
}

/** Trains a fold in this process. */
async function trainHere(fold: number, model: FoldModel, run: RunContext): Promise<void> {
  const { folds, state, tree, emit, warn, signal } = run;
  if (state.fold !== fold) beginFold(state, fold);
  emit({ type: "fold", fold, folds, state: "begin" });
  try {
    if (isApart(fold, tree)) {
      const { device, precision } = state;
      const host: FoldHost = { find: async () => ({ device, precision }), lend: (_, work) => model.use(work) };
      const result = await trainApart(fold, host, run, packageVersion);
      await joinFold(fold, result, run);
    } else await model.use((session) => trainFold(fold, session, run));
  } catch (error) {
    // A run that is stopped, has one fold, or a fold that began on another device, ends here and can be resumed.
    const ended = ["ERR_DISPOSED", "ERR_PEER_LOST"].includes((error as CellsamError).code);
    const stopped = signal?.aborted || ended || isChangedInput(error);
    if (stopped || folds === 1) throw error;
    // An error after the result was recorded, while the model is disposed of, does not change the result.
    if (state.results.some((result) => result.fold === fold))
      warn(`fold ${fold} is finished, but then: ${error instanceof Error ? error.message : String(error)}`);
    else {
      await removeApart(fold, tree);
      await recordFailure(fold, failureOf(error), run, error instanceof Error ? error.stack : undefined);
    }
  }
}

function poolOf(slots: Slots, run: RunContext): FoldPool {
  return {
    slots,
    run,
    failed: async (fold, error) => {
      if (run.folds === 1) throw new CellsamError(error.code, error.message);
      await recordFailure(fold, error, run);
    },
  };
}

/** Begins every stage once, so that what is wrong with one is found while the old experiment still exists. */
async function tryStages(session: Session, config: RunContext["config"], trainTiles: number): Promise<void> {
  for (const stage of config.stages) {
    await session.beginStage(stageOptions(config, stage, Math.ceil(trainTiles / config.batchSize)));
    await session.endStage();
  }
}

async function reportDuplicates({ config, tree, state, warn, writeIfPossible }: RunContext): Promise<void> {
  if (!config.findDuplicates || existsSync(tree.nearDuplicates)) return;
  const report = duplicateReport(state.duplicates, state.splits, config.duplicateThreshold);
  const warning = duplicateWarning(report);
  if (warning) warn(warning);
  await writeIfPossible(tree.nearDuplicates, writeJson(tree.nearDuplicates, toSnake(report)));
}

/** The result of a fold that failed; the others go on. */
async function recordFailure(fold: number, failure: Failure, run: RunContext, stack = failure.message): Promise<void> {
  const { tree, strategy, state, log, emit } = run;
  const { train, val, test = [] } = state.splits[fold - 1] as Splits;
  log.error(logger, `fold ${fold} failed: ${stack}`);
  const counts = { trainImages: train.length, valImages: val.length, testImages: test.length };
  state.results.push(failedResult({ fold, strategy, device: state.device, ...counts, error: failure }));
  beginFold(state, fold + 1);
  await writeRunState(tree.runState, state);
  emit({ type: "fold", fold, folds: state.splits.length, state: "failed", error: failure });
}

/** Says how it went. @throws CellsamError ERR_ALL_FOLDS_FAILED */
function conclude({ state: { results }, log, warn }: RunContext, seconds: number): void {
  const failed = results.filter(({ error }) => error !== null);
  if (failed.length === results.length) {
    const message = `all ${failed.length} folds failed, the first with: ${failed[0]?.error?.message}`;
    throw new CellsamError("ERR_ALL_FOLDS_FAILED", message, { detail: { errors: failed.map(({ error }) => error) } });
  }
  const numbers = failed.map(({ fold }) => fold).join(", ");
  if (failed.length > 0)
    warn(`finished, but ${failed.length} of ${results.length} folds failed: ${numbers}; resuming the run repeats them`);
  else log.info(logger, `finished in ${seconds.toFixed(1)} s`);
}
