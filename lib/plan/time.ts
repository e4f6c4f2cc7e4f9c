/** Forecasts the time of a whole training from the time of one tile. */
import type { ExperimentConfig } from "../config/experiment.js";
import { type StageNumber, stageConfig } from "../config/stageOptions.js";
import { versionsOf } from "./features.js";
import type { Probe } from "./probe.js";

export interface TimeForecast {
  /** Training and validation of the first split, while the features of a frozen backbone are not cached yet. */
  secondsPerEpoch: Partial<Record<StageNumber, number>>;
  /** If every stage runs all of its epochs; early stopping can only shorten it. Without evaluation and pictures. */
  totalSeconds: number;
}

export function forecast(
  config: ExperimentConfig,
  splits: readonly { train: { tiles: number }; val: { tiles: number } }[],
  { stages }: Pick<Probe, "stages">,
): TimeForecast {
  const time: TimeForecast = { secondsPerEpoch: {}, totalSeconds: 0 };
  for (const stage of config.stages) {
    const measured = stages[stage];
    if (!measured) continue;
    const epochs = (each: { secondsPerTile: number; secondsPerValidationTile: number }) =>
      splits.map(({ train, val }) => train.tiles * each.secondsPerTile + val.tiles * each.secondsPerValidationTile);
    const sum = (numbers: number[]) => numbers.reduce((all, seconds) => all + seconds, 0);
    const { totalEpochs } = stageConfig(config, stage);
    // Features of each version of a tile are computed once. Other folds may find them in the cache, so this is an upper bound.
    const fresh = measured.kept ? Math.min(totalEpochs, versionsOf(config)) : totalEpochs;
    time.secondsPerEpoch[stage] = epochs(measured)[0] ?? 0;
    time.totalSeconds += sum(epochs(measured)) * fresh + sum(epochs(measured.kept ?? measured)) * (totalEpochs - fresh);
  }
  return time;
}
