/** Makes the options of `Session.beginStage` from the configuration of a stage, here and nowhere else. */
import type { StageOptions } from "../engine/session.js";
import type { ExperimentConfig } from "./experiment.js";
import { featureOptions } from "./features.js";
import type { Stage1Config } from "./stage1.js";
import type { Stage2Config } from "./stage2.js";

export type StageNumber = 1 | 2;

export function stageConfig(config: ExperimentConfig, stage: StageNumber): Stage1Config | Stage2Config {
  return stage === 1 ? config.stage1Config : config.stage2Config;
}

/**
 * The options of `beginStage`: all settings but those that only the runner reads (patience, minDelta, modelEpoch,
 * transferWeights, pictures).
 */
export function stageOptions(config: ExperimentConfig, stage: StageNumber, stepsPerEpoch: number): StageOptions {
  const {
    totalEpochs,
    patience: _patience,
    minDelta: _minDelta,
    modelEpoch: _modelEpoch,
    visualizationFrequency: _frequency,
    maxVisualizationsPerEpoch: _most,
    ...shared
  } = stageConfig(config, stage);
  const common = { stage, epochs: totalEpochs, stepsPerEpoch, ...featureOptions(config) };
  if ("stage1Type" in shared) {
    const { transferWeights: _transferWeights, visualizePredictions: _drawn, ...options } = shared;
    return { ...common, ...options };
  }
  const { visualizeMasks: _drawn, ...options } = shared;
  return { ...common, ...options };
}
