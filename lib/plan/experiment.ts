/**
 * Forecasts a training: checks the data as a run does, counts tiles and cells as a run cuts them, and with a probe measures
 * time and memory of a few real steps.
 */
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { stageConfig } from "../config/stageOptions.js";
import { type Dataset, loadDataset } from "../data/dataset.js";
import { pairLabels } from "../data/pair.js";
import { checkCells, type Splits } from "../data/split.js";
import { CellsamError } from "../errors.js";
import type { ProgressTask } from "../events.js";
import { checkOutputFolder } from "../files/outputPath.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import { leftOutNotes } from "../strategies/strategy.js";
import { configuredStrategy } from "../strategies/table.js";
import { acrossIn, duplicatesOf } from "../train/duplicates.js";
import { OutputTree } from "../train/outputTree.js";
import { drawSplits, readableWeights } from "../train/prepare.js";
import { featureBytes } from "./features.js";
import type { Plan, SidePlan, Spread } from "./plan.js";
import { probeTraining } from "./probe.js";
import { forecastRanks } from "./ranks.js";
import { type PlannedTiles, planTiles, storeBytes } from "./tiles.js";
import { forecast } from "./time.js";
import { warningsOf } from "./warnings.js";

export interface PlanOptions {
  /** Also runs a few training steps, which needs libtorch. Default false. */
  probe?: boolean;
  /** With `probe`: also forecasts a training by so many processes together. */
  ranks?: number;
  /** Between two of them, in 10^9 bytes a second. Default 1.1, which is 10 Gbit Ethernet. */
  gigabytesPerSecond?: number;
  onProgress?: (task: ProgressTask, done: number, total: number) => void;
  signal?: AbortSignal;
}

const optionKeys = keysOf<PlanOptions>({
  probe: true,
  ranks: true,
  gigabytesPerSecond: true,
  onProgress: true,
  signal: true,
});

/** Number of queries of the released networks and of `tiny`; native/model/model_size.h. */
const queriesOf: Record<string, number> = { vit_b: 3500, vit_l: 3500, vit_h: 3500, tiny: 100 };

/**
 * Forecasts the training of a configuration; writes nothing.
 * @throws CellsamError ERR_CONFIG; ERR_INVALID_ARGUMENT for unknown options, and ranks without probe; ERR_DATASET with all problems of the data at once; ERR_SPLIT; the signal's reason
 */
export async function planExperiment(input: ExperimentInput, options: PlanOptions = {}): Promise<Plan> {
  checkKeys("planExperiment", options, optionKeys);
  const { probe: wanted = false, ranks, gigabytesPerSecond = 1.1, onProgress, signal } = options;
  checkRanks(options);
  const config = new ExperimentConfig(input);
  const refusals = await outputRefusals(config);
  const data = await loadDataset(config, {
    onProgress: (done, total) => onProgress?.("check", done, total),
    ...(signal && { signal }),
  });
  const { pairs } = data;
  const warnings = refusals.map((message) => `a training with these settings would be refused: ${message}`);
  warnings.push(...data.warnings);
  const warn = (message: string) => warnings.push(message);
  const duplicates = await duplicatesOf(pairs, config, { signal });
  const splits = await drawSplits({ config, strategy: configuredStrategy(config) }, data, duplicates);
  warnings.push(...leftOutNotes(splits, data.trainingOnly));
  const tiles: PlannedTiles[] = [];
  for (const [i, pair] of pairs.entries()) {
    signal?.throwIfAborted();
    tiles.push(planTiles(pair.source, await pairLabels(pair, config), config));
    onProgress?.("tiles", i + 1, pairs.length);
  }
  const hollow = tiles.filter(({ cellsPerTile }) => cellsPerTile.every((cells) => cells === 0));
  checkCells(splits, new Set(hollow.map(({ source }) => source)));
  const probe = wanted ? await probeTraining(config, pairs, { warn, signal }) : null;
  const overridden = Object.keys(config.sizeOverrides).some((key) => /^num_?queries$|^num_?patterns$/i.test(key));
  const plan: Plan = {
    ...counted(config, data, tiles),
    splits: splits.map((split) => sides(split, tiles)),
    duplicates: {
      pairs: duplicates,
      acrossSides: duplicates.filter((pair) => acrossIn(pair, splits).length > 0).length,
    },
    disk: {
      storeBytes: storeBytes(tiles, config.tileSize),
      freeBytes: await freeBytes(config.outputDir),
      featureBytes: null,
      // For each fold the best weights of each stage, and once the state for --resume, with the optimiser's two moments.
      modelBytes: probe && probe.parameters * 4 * (splits.length * config.stages.length + 3),
    },
    queries: probe?.queries || (overridden ? null : (queriesOf[config.size] ?? null)),
    probe,
    time: null,
    together: null,
    warnings,
  };
  plan.disk.featureBytes = forecastFeatures(config, plan);
  plan.time = probe && forecast(config, plan.splits, probe);
  if (probe && ranks) {
    const chosen = new Set(splits[0]?.train);
    const cells = tiles.filter(({ source }) => chosen.has(source)).flatMap(({ cellsPerTile }) => cellsPerTile);
    const side = { cells, validate: plan.splits[0]?.val.tiles ?? 0 };
    plan.together = forecastRanks(config, side, probe, { ranks, gigabytesPerSecond });
    for (const stage of config.stages) {
      const { accumulate } = stageConfig(config, stage);
      if (accumulate < ranks)
        warn(`${ranks} processes need stage${stage}Config.accumulate of at least ${ranks}, and it is ${accumulate}`);
    }
  }
  plan.warnings.push(...warningsOf(config, plan));
  return plan;
}

/** @throws CellsamError ERR_INVALID_ARGUMENT */
function checkRanks({ probe = false, ranks, gigabytesPerSecond = 1 }: PlanOptions): void {
  const refuse = (message: string) => new CellsamError("ERR_INVALID_ARGUMENT", message);
  if (ranks === undefined) return;
  if (!Number.isInteger(ranks) || ranks < 1) throw refuse("ranks must be a whole number, at least 1");
  if (!(gigabytesPerSecond > 0)) throw refuse("gigabytesPerSecond must be more than 0");
  if (!probe) throw refuse("ranks needs probe, which measures the time of a step");
}

/**
 * Why a training could not begin: a folder that cannot be written to, or an experiment of this name. That is no fault of a plan,
 * which writes nothing.
 * @throws CellsamError ERR_CONFIG for weights that cannot be read
 */
async function outputRefusals({ outputDir, outputName, weights }: ExperimentConfig): Promise<string[]> {
  if (weights) await readableWeights(weights);
  const tree = new OutputTree(outputDir, outputName);
  const checks = [
    () => checkOutputFolder("outputDir", outputDir),
    () => checkOutputFolder("outputName", tree.root),
    () => tree.check({}),
  ];
  for (const check of checks) {
    try {
      await check();
    } catch (error) {
      if (error instanceof CellsamError) return [error.message];
      throw error;
    }
  }
  return [];
}

/** Without a configured limit, the cache takes a fifth of the free disk and 64 GB at most; native/cache/feature_folder.cc. */
function forecastFeatures(config: ExperimentConfig, { tiles, splits, disk, probe }: Plan): number | null {
  const { precision } = probe ?? config;
  const wanted = featureBytes(config, { precision, tiles: tiles.count, folds: splits.length });
  if (wanted === null || config.featureCacheGb !== null) return wanted;
  return Math.min(wanted, 64e9, (disk.freeBytes ?? Number.POSITIVE_INFINITY) / 5);
}

function counted(config: ExperimentConfig, { pairs, notes }: Dataset, tiles: readonly PlannedTiles[]) {
  const types: Record<string, number> = {};
  for (const { dtype } of pairs) types[dtype] = (types[dtype] ?? 0) + 1;
  const perTile = tiles.flatMap(({ cellsPerTile }) => cellsPerTile);
  const diameters = tiles.flatMap((planned) => planned.diameters);
  return {
    images: {
      count: pairs.length,
      grey: pairs.filter(({ channels }) => channels === 1).length,
      rgb: pairs.filter(({ channels }) => channels === 3).length,
      types,
      sides: spread(pairs.flatMap(({ height, width }) => [height, width])),
      notes,
    },
    cells: {
      count: tiles.reduce((sum, { cells }) => sum + cells, 0),
      perImage: spread(tiles.map(({ cells }) => cells)),
      diameter: spread(diameters),
      large: diameters.filter((diameter) => diameter > config.tileSize / 2).length,
      cut: tiles.reduce((sum, { cut }) => sum + cut, 0),
    },
    tiles: {
      size: config.tileSize,
      count: perTile.length,
      perTile: spread(perTile),
      empty: perTile.filter((n) => n === 0).length,
    },
  };
}

function sides({ train, val, test }: Splits & { test?: readonly string[] | undefined }, tiles: readonly PlannedTiles[]) {
  const side = (names: readonly string[] = []): SidePlan => {
    const chosen = new Set(names);
    const own = tiles.filter(({ source }) => chosen.has(source));
    const sum = (value: (tile: PlannedTiles) => number) => own.reduce((total, tile) => total + value(tile), 0);
    return { images: own.length, tiles: sum(({ cellsPerTile }) => cellsPerTile.length), cells: sum(({ cells }) => cells) };
  };
  return { train: side(train), val: side(val), test: side(test) };
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (i: number) => sorted[i] ?? 0;
  const middle = (sorted.length - 1) / 2;
  return { min: at(0), median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, max: at(sorted.length - 1) };
}

/** Free bytes of the file system of a folder that may not exist yet; null where the system does not report it. */
async function freeBytes(folder: string): Promise<number | null> {
  let path = resolve(folder);
  while (!existsSync(path) && dirname(path) !== path) path = dirname(path);
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}
