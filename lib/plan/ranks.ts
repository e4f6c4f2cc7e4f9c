/**
 * Forecasts what several processes that train one model gain: from the time of a tile in one process, the bytes of its
 * gradients, the bandwidth between the processes, and how unevenly the prompts of an update are divided among them.
 */
import type { ExperimentConfig } from "../config/experiment.js";
import { type StageNumber, stageConfig } from "../config/stageOptions.js";
import { Random } from "../data/random.js";
import type { Probe } from "./probe.js";

export interface RanksOptions {
  /** Processes, each with a device as fast as the one that was measured. */
  ranks: number;
  /** Between two of them, in 10^9 bytes a second. */
  gigabytesPerSecond: number;
}

export interface StageRanks {
  /** Float32 gradients of an update. */
  gradientBytes: number;
  /** Of summing them once, after the backward pass: 2 (N - 1) / N * bytes / bandwidth, as a ring takes (Patarasu and Yuan, 2009). */
  sumSeconds: number;
  /** Share of the time between two sums in which a process computes, on average; 1 where all have the same work. */
  balance: number;
  /** Training and validation, with features cached where they are; and how many times as fast as one process. */
  secondsPerEpoch: number;
  speedUp: number;
}

export interface RanksForecast extends RanksOptions {
  stages: Partial<Record<StageNumber, StageRanks>>;
}

/** Cells of each training tile of a split, and the number of tiles that validate. */
interface SplitTiles {
  cells: readonly number[];
  validate: number;
}

/**
 * Stage 1 costs the same for each batch; stage 2 as much as it has prompts, which makes its imbalance an upper bound. One epoch
 * in a drawn order stands for all.
 */
export function forecastRanks(
  config: ExperimentConfig,
  { cells, validate }: SplitTiles,
  { stages }: Pick<Probe, "stages">,
  options: RanksOptions,
): RanksForecast {
  const { ranks, gigabytesPerSecond } = options;
  const plan: RanksForecast = { ranks, gigabytesPerSecond, stages: {} };
  for (const stage of config.stages) {
    const probe = stages[stage];
    if (!probe) continue;
    const { secondsPerTile, secondsPerValidationTile } = probe.kept ?? probe;
    const prompts = config.stage2Config.maxPrompts ?? Number.POSITIVE_INFINITY;
    const costs = cells.map((count) => (stage === 1 ? 1 : Math.min(count, prompts)));
    const { slowest, all, updates } = divided(costs, config, stage, ranks);
    const gradientBytes = 4 * probe.trainable;
    const sumSeconds = ((2 * (ranks - 1)) / ranks) * (gradientBytes / (gigabytesPerSecond * 1e9));
    const training = cells.length * secondsPerTile;
    const validation = (each: number) =>
      Math.ceil(Math.ceil(validate / config.batchSize) / each) * config.batchSize * secondsPerValidationTile;
    const secondsPerEpoch = (training * slowest) / (all || 1) + updates * sumSeconds + validation(ranks);
    plan.stages[stage] = {
      gradientBytes,
      sumSeconds,
      balance: slowest > 0 ? all / (ranks * slowest) : 1,
      secondsPerEpoch,
      speedUp: (training + validation(1)) / secondsPerEpoch,
    };
  }
  return plan;
}

/** The costs of an epoch: of the slowest process of each update, of all together, and the number of updates. */
function divided(costs: readonly number[], config: ExperimentConfig, stage: StageNumber, ranks: number) {
  const { accumulate } = stageConfig(config, stage);
  const order = new Random(config.seed).shuffle([...costs]);
  const batches: number[] = [];
  for (let i = 0; i < order.length; i += config.batchSize) batches.push(sum(order.slice(i, i + config.batchSize)));
  let [slowest, updates] = [0, 0];
  for (let i = 0; i < batches.length; i += accumulate, updates += 1) {
    const group = batches.slice(i, i + accumulate);
    const shares = Array.from({ length: ranks }, (_, rank) => sum(group.filter((_, j) => j % ranks === rank)));
    slowest += Math.max(...shares);
  }
  return { slowest, all: sum(costs), updates };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
