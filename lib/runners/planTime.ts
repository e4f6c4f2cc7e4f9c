/** From the time of one tile to the time of a whole training. */
import type { ExperimentConfig } from "../config/experiment.js";
import { type StageNumber, stageConfig } from "../config/stageOptions.js";
import type { SidePlan } from "./plan.js";
import type { Probe } from "./probe.js";

export interface TimeForecast {
  /** Of the first split, training and validation. */
  secondsPerEpoch: Partial<Record<StageNumber, number>>;
  /** If every stage runs all of its epochs; early stopping can only shorten it. Evaluation and pictures are not in it. */
  totalSeconds: number;
}

export function forecast(
  config: ExperimentConfig,
  splits: readonly { train: SidePlan; val: SidePlan }[],
  { stages }: Pick<Probe, "stages">,
): TimeForecast {
  const time: TimeForecast = { secondsPerEpoch: {}, totalSeconds: 0 };
  for (const stage of config.stages) {
    const measured = stages[stage];
    if (!measured) continue;
    const epochs = splits.map(
      ({ train, val }) => train.tiles * measured.secondsPerTile + val.tiles * measured.secondsPerValidationTile,
    );
    time.secondsPerEpoch[stage] = epochs[0] ?? 0;
    time.totalSeconds += epochs.reduce((sum, seconds) => sum + seconds, 0) * stageConfig(config, stage).totalEpochs;
  }
  return time;
}
