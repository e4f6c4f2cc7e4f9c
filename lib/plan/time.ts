/** From the time of one tile to the time of a whole training. */
import type { ExperimentConfig } from "../config/experiment.js";
import { type StageNumber, stageConfig } from "../config/stageOptions.js";
import { pictures } from "./features.js";
import type { Probe } from "./probe.js";

export interface TimeForecast {
  /** Of the first split, training and validation, while the features of a frozen trunk are still computed. */
  secondsPerEpoch: Partial<Record<StageNumber, number>>;
  /** If every stage runs all of its epochs; early stopping can only shorten it. Evaluation and pictures are not in it. */
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
    // Each version of a tile is computed once. Other folds may then find it too, so this is the most.
    const fresh = measured.kept ? Math.min(totalEpochs, pictures(config)) : totalEpochs;
    time.secondsPerEpoch[stage] = epochs(measured)[0] ?? 0;
    time.totalSeconds += sum(epochs(measured)) * fresh + sum(epochs(measured.kept ?? measured)) * (totalEpochs - fresh);
  }
  return time;
}
