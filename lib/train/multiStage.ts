/** The stages of one fold in order. A stage starts from the best weights of the one before, also when the run is resumed there. */
import type { StageNumber } from "../config/stageOptions.js";
import type { FoldContext } from "./foldContext.js";
import { writeRunState } from "./resume.js";
import { runStage } from "./stage.js";

export class MultiStageTrainer {
  readonly #context: FoldContext;

  constructor(context: FoldContext) {
    this.#context = context;
  }

  /** Trains what is not yet trained. Afterwards the session holds the best weights of the last stage; answers their path. */
  async run(): Promise<string> {
    const { config, state, session, checkpoints, tree, emit, fold } = this.#context;
    for (const stage of config.stages) {
      if (!state.stages[stage]) {
        const result = await runStage(this.#context, stage);
        await session.endStage();
        state.stages[stage] = result;
        state.progress = null;
        await writeRunState(tree.runState, state);
        await checkpoints.prune([]);
        emit({ type: "stage", stage, fold, state: "end", stoppedEarly: result.stoppedEarly });
      }
      await this.#restoreBest(stage);
    }
    return checkpoints.getBestModelPath(config.stages.at(-1) as StageNumber);
  }

  /** Best weights first, transfer second: the other way round the transfer would be overwritten. */
  async #restoreBest(stage: StageNumber): Promise<void> {
    const { config, session, checkpoints, state, log, warn } = this.#context;
    await session.load(checkpoints.getBestModelPath(stage));
    const which = state.stages[stage]?.bestEpoch === null ? "last" : "best";
    log.info("cellsam.runner", `restored the ${which} weights of stage ${stage}`);
    if (stage !== 1) return;
    const { stage1Type, transferWeights } = config.stage1Config;
    if (transferWeights) {
      const to = stage1Type === "image_encoder" ? "cellfinder" : "image_encoder";
      await session.transferWeights(to);
      log.info("cellsam.runner", `copied the trained trunk into ${to}`);
      const result = state.stages[1];
      if (config.stages.at(-1) !== 1 || !result) return;
      // No stage 2 will save the copied trunk, and the file must hold the model that is evaluated.
      const best = { stage, epoch: result.bestEpoch ?? result.finalEpoch, loss: result.bestLoss };
      await checkpoints.saveBest((path) => session.save(path), best);
      await checkpoints.prune([]);
    } else if (stage1Type === "image_encoder") {
      warn(
        "the head was trained on SAM's trunk, but inference shows it CellFinder's; set stage1_config.transfer_weights to copy it",
      );
    }
  }
}
