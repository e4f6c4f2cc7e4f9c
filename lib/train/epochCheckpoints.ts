/** Weights that a run keeps beside the best: of epochs on the way, and of each stage's last epoch. */
import type { StageNumber } from "../config/stageOptions.js";
import type { FoldContext } from "./foldContext.js";

/** To be called after every epoch with its validation loss (null without validation): saves its weights when it is their turn. */
export async function keepEpoch(context: FoldContext, stage: StageNumber, epoch: number, loss: number | null): Promise<void> {
  const { config, checkpoints, session, log } = context;
  if (!config.saveCheckpoints || config.keepBestOnly || epoch % config.saveFreq !== 0) return;
  const path = await checkpoints.saveCheckpoint(session, { stage, epoch, metric: loss });
  log.debug("cellsam.checkpoints", `saved ${path}`);
}

/** To be called after a stage's last epoch, before its best weights are restored. */
export async function keepFinal(context: FoldContext, stage: StageNumber, epoch: number, loss: number | null): Promise<void> {
  if (context.config.saveFinalModel) await context.checkpoints.saveFinalModel(context.session, { stage, epoch, metric: loss });
}
