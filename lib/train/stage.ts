/**
 * One stage of one fold: epochs of training and validation until the schedule or early stopping ends them. The best epoch is
 * the one with the strictly lowest validation loss, or the last where the settings say so (`modelEpoch`); where nothing
 * validates, the last epoch's weights are the model and nothing stops early. What a later run needs to continue is saved after
 * epochs (`saveEvery`) and when the run is stopped.
 */
import { join } from "node:path";
import { type StageNumber, stageConfig, stageOptions } from "../config/stageOptions.js";
import type { EpochReport, ValidateReport } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { writeJson } from "../files/json.js";
import { EarlyStopping } from "../monitor/earlyStopping.js";
import { MetricsTracker } from "../monitor/metricsTracker.js";
import type { FoldContext } from "./context.js";
import { epochLine, featureCounts, lossesLine, memoryNote } from "./epochLine.js";
import { type EpochScores, scoreEpoch } from "./epochScores.js";
import type { StageResult } from "./results.js";
import { type StageProgress, writeRunState } from "./resume.js";
import { drawCurves, drawEpoch } from "./stagePictures.js";

/**
 * Trains the stage from its beginning, or from `context.state.progress` when a run is resumed.
 * @throws the signal's reason, after what is needed to continue was saved; CellsamError ERR_NO_BEST_MODEL when no loss was
 * finite
 */
export async function runStage(context: FoldContext, stage: StageNumber): Promise<StageResult> {
  return new StageRun(context, stage).run();
}

/** What one epoch has come to. */
interface EpochOutcome {
  trained: EpochReport;
  validated: ValidateReport | null;
  scored: EpochScores | null;
  improved: boolean;
}

class StageRun {
  readonly #context: FoldContext;
  readonly #stage: StageNumber;
  readonly #epochs: number;
  readonly #logger: string;
  readonly #validates: boolean;
  readonly #stopping: EarlyStopping;
  readonly #tracker: MetricsTracker;
  readonly #progress: StageProgress;

  constructor(context: FoldContext, stage: StageNumber) {
    const { totalEpochs, patience, minDelta } = stageConfig(context.config, stage);
    this.#context = context;
    this.#stage = stage;
    this.#epochs = totalEpochs;
    this.#logger = `cellsam.stage${stage}`;
    this.#validates = context.valTiles.length > 0;
    this.#stopping = new EarlyStopping({ patience, minDelta });
    this.#tracker = new MetricsTracker();
    const fresh = { stage, epoch: 0, step: 0, stateFile: null, best: null };
    const records = () => ({ earlyStopping: this.#stopping.state(), metrics: this.#tracker.toJSON() });
    this.#progress = context.state.progress ?? { ...fresh, ...records() };
    context.state.progress = this.#progress;
    this.#stopping.restore(this.#progress.earlyStopping);
    this.#tracker.restore(this.#progress.metrics);
  }

  async run(): Promise<StageResult> {
    const { config, signal } = this.#context;
    await this.#begin();
    while (this.#progress.epoch < this.#epochs && !this.#stopping.shouldStop()) {
      await this.#epoch(this.#progress.epoch + 1);
      const finished = this.#progress.epoch === this.#epochs || this.#stopping.shouldStop();
      const stop = signal?.aborted;
      if (finished || stop || this.#progress.epoch % config.saveEvery === 0) await this.#save();
      if (stop && !finished) this.#leave();
    }
    return this.#finish();
  }

  async #begin(): Promise<void> {
    const { config, session, trainTiles, checkpoints, tree, log, emit, warn, fold } = this.#context;
    const stepsPerEpoch = Math.ceil(trainTiles.length / config.batchSize);
    const report = await session.beginStage(stageOptions(config, this.#stage, stepsPerEpoch));
    const { stateFile, best, epoch, step } = this.#progress;
    if (stateFile) {
      await session.loadState(join(tree.resume, stateFile));
      log.info(this.#logger, `continues after epoch ${epoch}, batch ${step}`);
    }
    if (best) await checkpoints.publish(best);
    else await checkpoints.retract(this.#stage);
    const { parameters, trainable, groups } = report;
    log.info(this.#logger, `trains ${parameters} parameters in ${trainable.length} tensors, ${stepsPerEpoch} batches an epoch`);
    for (const group of groups)
      log.info(this.#logger, `group ${group.name}: ${group.parameters} parameters, learning rate ${group.lr}`);
    if (config.augmentationVariants > 0) {
      const versions = `${config.augmentationVariants} versions of each tile`;
      warn(`augmentation draws from ${versions}, and makes no new ones in later epochs (augmentation_variants)`);
    }
    emit({ type: "stage", stage: this.#stage, fold, state: "begin", trainable: parameters });
  }

  async #epoch(epoch: number): Promise<void> {
    const { config, session, tree, fold, folds, writeIfPossible } = this.#context;
    const trained = await this.#train(epoch);
    if (trained.stopped) await this.#stop(trained.step);
    const validated = this.#validates ? await this.#repeatable(trained.steps, this.#validate()) : null;
    const scored = await this.#repeatable(trained.steps, scoreEpoch(this.#context, this.#stage, epoch));
    await this.#repeatable(trained.steps, drawEpoch(this.#context, this.#stage, epoch));
    const loss = (validated ?? trained).losses.total_loss ?? Number.NaN;
    const improved = validated !== null && (await this.#keepModel(epoch, loss));
    // Without validation the weights of the last epoch are the model.
    if (!validated && epoch === this.#epochs && Number.isFinite(loss)) await this.#saveBest(epoch, null);
    // An epoch that stops the stage early is not passed to the schedule.
    const stops = validated !== null && this.#stopping.update(loss, epoch);
    const plateau = stageConfig(config, this.#stage).scheduler === "plateau";
    if (!stops && plateau && Number.isFinite(loss)) await session.observe(loss);

    this.#tracker.logEpochMetrics("train", epoch, trained.losses);
    if (validated) this.#tracker.logEpochMetrics("val", epoch, validated.losses);
    const metrics = tree.stageMetrics(this.#stage, fold, folds);
    await writeIfPossible(metrics, writeJson(metrics, this.#tracker));
    this.#progress.epoch = epoch;
    this.#progress.step = 0;
    await this.#keepEpoch(epoch, validated && Number.isFinite(loss) ? loss : null);
    this.#report(epoch, { trained, validated, scored, improved });
  }

  async #train(epoch: number): Promise<EpochReport> {
    const { config, session, store, trainTiles, signal, emit, fold, log, lossWeights } = this.#context;
    const { augmentation: augment, complexAugmentation, augmentationVariants, batchSize } = config;
    const weights = lossWeights?.({ stage: this.#stage, fold, epoch, epochs: this.#epochs });
    if (weights) await session.setLossWeights(weights);
    return session.trainEpoch({
      store: store.path,
      indices: trainTiles,
      fold,
      epoch,
      startStep: this.#progress.step,
      batchSize,
      augment,
      complexAugmentation,
      augmentationVariants,
      signal,
      onNotice: emit,
      onStep: (event) => {
        emit(event);
        if (!config.debug) return;
        log.debug(this.#logger, `epoch ${epoch} step ${event.step}/${event.steps}: ${lossesLine(event.losses)}${memoryNote()}`);
      },
    });
  }

  #validate(): Promise<ValidateReport> {
    const { config, session, store, valTiles, signal, emit } = this.#context;
    const { batchSize } = config;
    return session.validate({ store: store.path, indices: valTiles, batchSize, signal, onNotice: emit });
  }

  /**
   * Where the signal ends `work`, saves that all batches of the epoch are done: a resumed run repeats what comes after them.
   */
  async #repeatable<T>(steps: number, work: Promise<T>): Promise<T> {
    return work.catch(async (error: unknown) => {
      if (this.#context.signal?.aborted) await this.#stop(steps);
      throw error;
    });
  }

  /** Makes the epoch's weights the model where they are to be. Returns whether its loss is the lowest so far. */
  async #keepModel(epoch: number, loss: number): Promise<boolean> {
    if (!Number.isFinite(loss)) return false;
    const improved = loss < (this.#tracker.getBest("total_loss", "val").value ?? Number.POSITIVE_INFINITY);
    const last = stageConfig(this.#context.config, this.#stage).modelEpoch === "last";
    if (improved || last) await this.#saveBest(epoch, loss);
    return improved;
  }

  async #saveBest(epoch: number, loss: number | null): Promise<void> {
    const { session, checkpoints, emit, fold } = this.#context;
    this.#progress.best = await checkpoints.saveBest((path) => session.save(path), { stage: this.#stage, epoch, loss });
    const path = checkpoints.getBestModelPath(this.#stage);
    emit({ type: "checkpoint", stage: this.#stage, fold, epoch, kind: "best", path });
  }

  /** Saves the epoch's weights beside the best ones when it is their turn. */
  async #keepEpoch(epoch: number, metric: number | null): Promise<void> {
    const { config, checkpoints, session, log } = this.#context;
    if (!config.saveCheckpoints || config.keepBestOnly || epoch % config.saveFreq !== 0) return;
    const path = await checkpoints.saveCheckpoint(session, { stage: this.#stage, epoch, metric });
    log.debug("cellsam.checkpoints", `saved ${path}`);
  }

  #report(epoch: number, { trained, validated, scored, improved }: EpochOutcome): void {
    const { emit, fold, log } = this.#context;
    const { losses: train, lr } = trained;
    const epochs = this.#epochs;
    const seconds = trained.seconds + (validated?.seconds ?? 0) + (scored?.seconds ?? 0);
    const features = featureCounts(trained, validated);
    const validation = validated?.losses ?? null;
    const scores = scored?.scores ?? null;
    log.info(this.#logger, epochLine({ epoch, epochs, train, validation, scores, lr, features, seconds }));
    const event = { type: "epoch", stage: this.#stage, fold, epoch, epochs, lr, seconds, train, validation } as const;
    emit({ ...event, scores, improved, features });
  }

  async #save(): Promise<void> {
    const { session, tree, state, checkpoints, emit, fold } = this.#context;
    const { epoch, step } = this.#progress;
    const stateFile = `state_f${fold}_s${this.#stage}_e${epoch}_b${step}.safetensors`;
    await session.saveState(join(tree.resume, stateFile));
    this.#progress.stateFile = stateFile;
    this.#progress.earlyStopping = this.#stopping.state();
    this.#progress.metrics = this.#tracker.toJSON();
    await writeRunState(tree.runState, state);
    await checkpoints.prune([stateFile, this.#progress.best?.file]);
    emit({ type: "checkpoint", stage: this.#stage, fold, epoch, kind: "resume", path: tree.runState });
  }

  async #stop(step: number): Promise<never> {
    this.#progress.step = step;
    await this.#save();
    return this.#leave();
  }

  #leave(): never {
    const { epoch, step } = this.#progress;
    this.#context.log.info(this.#logger, `stopped and saved after epoch ${epoch}, batch ${step} of the next`);
    throw this.#context.signal?.reason;
  }

  async #finish(): Promise<StageResult> {
    const { config, log, checkpoints, session } = this.#context;
    const { best, epoch } = this.#progress;
    const stage = this.#stage;
    const { train: trainHistory = {}, val: valHistory = {} } = this.#tracker.getAllMetrics();
    const finalLoss = valHistory.total_loss?.at(-1) ?? null;
    if (config.saveFinalModel) await checkpoints.saveFinalModel(session, { stage, epoch, metric: finalLoss });
    if (!best) {
      const side = this.#validates ? "validation" : "training";
      const message = `stage ${stage} ended without a finite ${side} loss, so there is no best model. Lower its learningRate, or set gradClip`;
      throw new CellsamError("ERR_NO_BEST_MODEL", message, { detail: { stage } });
    }
    // The last epoch is not the model where its loss was none.
    const isLast = !this.#validates || (stageConfig(config, stage).modelEpoch === "last" && best.epoch === epoch);
    const model = isLast ? "its weights are the model" : `best epoch ${best.epoch}, validation loss ${best.loss}`;
    log.info(this.#logger, `finished after epoch ${epoch}; ${model}`);
    await drawCurves(this.#context, stage, { train: trainHistory, val: valHistory });
    return {
      bestEpoch: this.#validates ? best.epoch : null,
      bestLoss: best.loss,
      finalEpoch: epoch,
      finalLoss,
      stoppedEarly: this.#stopping.shouldStop(),
      trainHistory,
      valHistory,
    };
  }
}
