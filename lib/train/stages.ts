/**
 * The stages of one fold in order. A stage starts from the best weights of the one before, also when the run is resumed there.
 */
import { type StageNumber, stageConfig } from "../config/stageOptions.js";
import type { FoldContext } from "./context.js";
import { writeRunState } from "./resume.js";
import { runStage } from "./stage.js";

/**
 * Trains what is not yet trained. Afterwards the session holds the best weights of the last stage; returns the path of their
 * file.
 */
export async function trainStages(context: FoldContext): Promise<string> {
  const { config, state, session, checkpoints, tree, emit, fold } = context;
  for (const stage of config.stages) {
    if (!state.stages[stage]) {
      const result = await runStage(context, stage);
      await session.endStage();
      state.stages[stage] = result;
      state.progress = null;
      await writeRunState(tree.runState, state);
      await checkpoints.prune([]);
      emit({ type: "stage", stage, fold, state: "end", stoppedEarly: result.stoppedEarly });
    }
    await restoreBest(context, stage);
    if (stage === 1) await transferBackbone(context);
  }
  return checkpoints.getBestModelPath(config.stages.at(-1) as StageNumber);
}

async function restoreBest({ config, session, checkpoints, state, log }: FoldContext, stage: StageNumber): Promise<void> {
  await session.load(checkpoints.getBestModelPath(stage));
  const last = state.stages[stage]?.bestEpoch === null || stageConfig(config, stage).modelEpoch === "last";
  const which = last ? "last" : "best";
  log.info("cellsam.runner", `restored the ${which} weights of stage ${stage}`);
}

/** After stage 1, where it is configured. The best weights must be back before, or they would overwrite the copied backbone. */
async function transferBackbone({ config, session, checkpoints, state, log, warn }: FoldContext): Promise<void> {
  const { stage1Type, transferWeights } = config.stage1Config;
  if (!transferWeights) {
    if (stage1Type === "image_encoder")
      warn(
        "the head was trained on SAM's backbone, but inference shows it CellFinder's; set stage1_config.transfer_weights to copy it",
      );
    return;
  }
  const to = stage1Type === "image_encoder" ? "cellfinder" : "image_encoder";
  await session.transferWeights(to);
  log.info("cellsam.runner", `copied the trained backbone into ${to}`);
  const result = state.stages[1];
  if (config.stages.at(-1) !== 1 || !result) return;
  // No stage 2 will save the copied backbone, and the file must hold the model that is evaluated.
  const best = { stage: 1, epoch: result.bestEpoch ?? result.finalEpoch, loss: result.bestLoss } as const;
  await checkpoints.saveBest((path) => session.save(path), best);
  await checkpoints.prune([]);
}
