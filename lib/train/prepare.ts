/**
 * Prepares a run before its first fold: checks the data, splits the images, cuts them into tiles, and compares a resumed run
 * with what was saved. Nothing is written into the output folder yet, except the log of a resumed run.
 */
import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { weightsFile } from "../config/shippedWeights.js";
import type { CheckedPair } from "../data/check.js";
import { type Dataset, loadDataset } from "../data/dataset.js";
import { type DuplicatePair, duplicateSets } from "../data/duplicates.js";
import { checkCells, type Splits } from "../data/split.js";
import { resolveDevice, resolvePrecision } from "../engine/device.js";
import type { Device } from "../engine/session.js";
import { openStoreWriter } from "../engine/storeWriter.js";
import { CellsamError } from "../errors.js";
import type { ProgressTask } from "../events.js";
import { fileHash } from "../files/fileHash.js";
import { readJson } from "../files/json.js";
import { leftOutNotes, preparedSplits } from "../strategies/strategy.js";
import { packageVersion } from "../version.js";
import type { Experiment } from "./context.js";
import { duplicatesOf } from "./duplicates.js";
import { isPlaced } from "./pooled.js";
import { checkImageRows, checkInputs, newRunState, type RunState, readRunState } from "./resume.js";
import type { RunRecord } from "./runRecord.js";
import { storeKey, type TileStore, tileStore } from "./tiles.js";

export interface PreparedRun {
  pairs: CheckedPair[];
  store: TileStore;
  state: RunState;
  /** Whether an earlier run continues. */
  resumed: boolean;
}

/**
 * `finished` is the state of a run that has nothing left to do.
 * @throws CellsamError for whatever is wrong with inputs or output folder
 */
export async function prepareRun(experiment: Experiment, record: RunRecord): Promise<PreparedRun | { finished: RunState }> {
  const { config, tree, options, slots } = experiment;
  const { resume, signal } = options;
  const { imgPath, maskPath, splits: splitsFile, groups } = config;
  const weights = config.weights && weightsFile(config.weights);
  await tree.check(options, { imgPath, maskPath, weights, splits: splitsFile, groups });
  const onProgress = (task: ProgressTask) => (done: number, total: number) =>
    record.emit({ type: "progress", task, done, total });

  const dataset = await loadDataset(config, {
    onProgress: onProgress("check"),
    ...(signal && { signal }),
  });
  const { pairs } = dataset;
  for (const text of [...dataset.warnings, ...dataset.notes]) record.warn(text);
  const key = await storeKey(pairs, config, packageVersion);
  const saved =
    resume && existsSync(tree.runState) ? await readRunState(tree.runState, tree.resume, config, packageVersion) : undefined;
  if (saved) {
    checkInputs(saved, { storeKey: key });
    for (const path of [tree.preevalPerImage, tree.perImage]) await checkImageRows(saved, path);
    const succeeded = saved.results.filter(({ error }) => error === null);
    if (saved.status === "finished" && succeeded.length === saved.results.length) return { finished: saved };
    // Resuming a finished run repeats the folds that failed.
    if (saved.status === "finished") Object.assign(saved, { status: "running", results: succeeded });
    // A fold whose process died goes on from what it has saved.
    else saved.results = saved.results.filter(({ error }) => error?.code !== "ERR_TRIAL_DIED");
    record.open();
  }

  // Processes elsewhere find their devices themselves, and each fold notes its own.
  const placed = isPlaced(slots);
  const device = placed ? ((slots.devices[0] ?? config.device) as Device) : await resolveDevice(config.device, record.warn);
  const precision = placed ? config.precision : resolvePrecision(config.precision, device);
  const weightsHash = weights && (await hashOf(weights));
  if (saved) {
    const noted = placed || (saved.device as string) === "auto" ? {} : { device, precision };
    checkInputs(saved, { weightsHash, ...noted, ...(await splitsOnDisk(tree.splits)) });
    if (!placed) Object.assign(saved, { device, precision });
  }
  let state = saved;
  if (!state) {
    const duplicates = await duplicatesOf(pairs, config, { signal, onProgress: onProgress("duplicates") });
    const splits = await drawSplits(experiment, dataset, duplicates);
    for (const note of leftOutNotes(splits, dataset.trainingOnly)) record.warn(note);
    state = newRunState(config, packageVersion, { storeKey: key, weightsHash, device, precision, splits }, duplicates);
  }
  const store = await tileStore(pairs, config, {
    cacheDir: `${config.outputDir}/.tiles`,
    key,
    openStoreWriter: options.openStoreWriter ?? openStoreWriter,
    onProgress: onProgress("store"),
    onWarning: record.warn,
    signal,
  });
  // A side of which no cell got into a tile is found before the first fold trains.
  checkCells(state.splits, new Set(store.sources.filter(({ instances }) => instances === 0).map(({ source }) => source)));
  return { pairs, store, state, resumed: saved !== undefined };
}

/** The splits of a new run, and of a plan. @throws CellsamError ERR_SPLIT */
export function drawSplits(
  { config, strategy }: Pick<Experiment, "config" | "strategy">,
  { pairs, trainingOnly }: Dataset,
  duplicates: readonly DuplicatePair[],
): Promise<Splits[]> {
  const sources = pairs.map(({ source }) => source).filter((source) => !trainingOnly.includes(source));
  return preparedSplits(strategy, sources, {
    trainingOnly,
    empty: pairs.filter(({ cells }) => cells === 0).map(({ source }) => source),
    duplicates: config.groupDuplicates ? duplicateSets(duplicates) : [],
  });
}

function hashOf(weights: string): Promise<string> {
  return fileHash(weights).catch((cause: Error) => {
    throw unreadable(weights, cause);
  });
}

/** @throws CellsamError ERR_CONFIG for a `weights` setting whose file cannot be read, as a run would refuse it */
export async function readableWeights(weights: string): Promise<void> {
  const path = weightsFile(weights);
  try {
    await using file = await open(path);
    await file.read(Buffer.alloc(1)); // a folder can be opened, but not read
  } catch (cause) {
    throw unreadable(path, cause as Error);
  }
}

function unreadable(weights: string, cause: Error): CellsamError {
  const message = `weights: ${weights} cannot be read (${cause.message})`;
  return new CellsamError("ERR_CONFIG", message, { cause, detail: { path: weights } });
}

/** splits.json as it is now, to compare with the run's own; a missing one is written again. */
async function splitsOnDisk(path: string): Promise<{ splits?: Splits[] }> {
  if (!existsSync(path)) return {};
  const splits = await readJson<Splits | Splits[]>(path).catch(() => []);
  return { splits: Array.isArray(splits) ? splits : [splits] };
}
