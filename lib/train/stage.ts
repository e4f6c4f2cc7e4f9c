/**
 * One stage of one fold: epochs of training and validation until the schedule or early stopping ends them. The best rule is
 * strictly lower validation loss; where nothing validates, the last epoch's weights are the model and nothing stops early. Everything needed to go on is saved after an epoch and when the run is stopped.
 */
import { join } from "node:path";
import { type StageNumber, stageConfig, stageOptions } from "../config/stageOptions.js";
import type { Losses, ValidateReport } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { EarlyStopping } from "../monitor/earlyStopping.js";
import { MetricsTracker } from "../monitor/metricsTracker.js";
import { keepEpoch, keepFinal } from "./epochCheckpoints.js";
import type { FoldContext } from "./foldContext.js";
import type { StageResult } from "./results.js";
import { type StageProgress, writeRunState } from "./resume.js";
import { drawCurves, drawEpoch } from "./stagePictures.js";

/** Trains the stage from its beginning, or from `context.state.progress` when a run is resumed. */
export async function runStage(context: FoldContext, stage: StageNumber): Promise<StageResult> {
  return new StageRun(context, stage).run();
}

class StageRun {
  readonly #context: FoldContext;
  readonly #stage: StageNumber;
  readonly #logger: string;
  readonly #stopping: EarlyStopping;
  readonly #tracker: MetricsTracker;
  readonly #progress: StageProgress;

  constructor(context: FoldContext, stage: StageNumber) {
    const { patience, minDelta } = stageConfig(context.config, stage);
    this.#context = context;
    this.#stage = stage;
    this.#logger = `cellsam.stage${stage}`;
    this.#stopping = new EarlyStopping({ patience, minDelta });
    this.#tracker = new MetricsTracker({ saveDir: context.tree.metrics(context.fold, context.folds) });
    this.#progress = context.state.progress ?? {
      stage,
      epoch: 0,
      step: 0,
      stateFile: null,
      best: null,
      earlyStopping: this.#stopping.state(),
      metrics: this.#tracker.toJSON(),
    };
    context.state.progress = this.#progress;
    this.#stopping.restore(this.#progress.earlyStopping);
    this.#tracker.restore(this.#progress.metrics);
  }

  get #validates(): boolean {
    return this.#context.valTiles.length > 0;
  }

  async run(): Promise<StageResult> {
    const { config, log } = this.#context;
    const { totalEpochs } = stageConfig(config, this.#stage);
    await this.#begin();
    while (this.#progress.epoch < totalEpochs && !this.#stopping.shouldStop()) {
      await this.#epoch(this.#progress.epoch + 1, totalEpochs);
      const finished = this.#progress.epoch === totalEpochs || this.#stopping.shouldStop();
      const stop = this.#context.signal?.aborted;
      if (finished || stop || this.#progress.epoch % config.saveEvery === 0) await this.#save();
      if (stop && !finished) this.#leave();
    }
    await keepFinal(this.#context, this.#stage, this.#progress.epoch, this.#tracker.getLatest("total_loss", "val"));
    const { best } = this.#progress;
    if (!best) {
      const message = `stage ${this.#stage} ended without a finite ${this.#validates ? "validation" : "training"} loss, so there is no best model. Lower its learningRate, or set gradClip`;
      throw new CellsamError("ERR_NO_BEST_MODEL", message, { detail: { stage: this.#stage } });
    }
    const history = this.#tracker.getAllMetrics();
    const valHistory = history.val ?? {};
    log.info(
      this.#logger,
      `finished after epoch ${this.#progress.epoch}; ${this.#validates ? `best epoch ${best.epoch}, validation loss ${best.loss}` : "its weights are the model"}`,
    );
    await drawCurves(this.#context, this.#stage, history);
    return {
      bestEpoch: this.#validates ? best.epoch : null,
      bestLoss: best.loss,
      finalEpoch: this.#progress.epoch,
      finalLoss: valHistory.total_loss?.at(-1) ?? null,
      stoppedEarly: this.#stopping.shouldStop(),
      trainHistory: history.train ?? {},
      valHistory,
    };
  }

  async #begin(): Promise<void> {
    const { config, session, trainTiles, checkpoints, tree, log, emit, fold } = this.#context;
    const stepsPerEpoch = Math.ceil(trainTiles.length / config.batchSize);
    const report = await session.beginStage(stageOptions(config, this.#stage, stepsPerEpoch));
    const { stateFile, best, epoch, step } = this.#progress;
    if (stateFile) {
      await session.loadState(join(tree.resume, stateFile));
      log.info(this.#logger, `goes on after epoch ${epoch}, batch ${step}`);
    }
    if (best) await checkpoints.publish(best);
    else await checkpoints.retract(this.#stage);
    log.info(
      this.#logger,
      `trains ${report.parameters} numbers in ${report.trainable.length} tensors, ${stepsPerEpoch} batches an epoch`,
    );
    for (const group of report.groups)
      log.info(this.#logger, `group ${group.name}: ${group.parameters} numbers, learning rate ${group.lr}`);
    if (config.augmentationVariants > 0) {
      const message = `augmentation draws from ${config.augmentationVariants} versions of each tile, not from ever new ones (augmentation_variants)`;
      this.#context.warn(message);
    }
    emit({ type: "stage", stage: this.#stage, fold, state: "begin", trainable: report.parameters });
  }

  async #epoch(epoch: number, epochs: number): Promise<void> {
    const { config, session, store, trainTiles, signal, emit, fold, log, warn } = this.#context;
    const { batchSize } = config;
    const weights = this.#context.lossWeights?.({ stage: this.#stage, fold, epoch, epochs });
    if (weights) await session.setLossWeights(weights);
    const trained = await session.trainEpoch({
      store,
      indices: trainTiles,
      fold: fold - 1,
      epoch,
      startStep: this.#progress.step,
      batchSize,
      augment: config.augmentation,
      complexAugmentation: config.complexAugmentation,
      augmentationVariants: config.augmentationVariants,
      signal,
      onNotice: ({ message }) => warn(message),
      onStep: (event) => {
        emit(event);
        if (config.debug)
          log.debug(this.#logger, `epoch ${epoch} step ${event.step}/${event.steps}: ${numbers(event.losses)}${memory()}`);
      },
    });
    if (trained.stopped) await this.#stop(trained.step);
    const validated = this.#validates ? await this.#repeatable(trained.steps, this.#validate()) : null;
    await this.#repeatable(trained.steps, drawEpoch(this.#context, this.#stage, epoch));
    const loss = (validated ?? trained).losses.total_loss ?? Number.NaN;
    const improved = validated ? await this.#judge(epoch, loss) : await this.#keepLast(epoch, epochs, loss);
    // Early stopping ends the stage before the schedule hears of the epoch.
    if (
      !(validated && this.#stopping.update(loss, epoch)) &&
      stageConfig(config, this.#stage).scheduler === "plateau" &&
      Number.isFinite(loss)
    ) {
      await session.observe(loss);
    }
    this.#tracker.logEpochMetrics("train", epoch, trained.losses);
    if (validated) this.#tracker.logEpochMetrics("val", epoch, validated.losses);
    await this.#tracker.saveMetrics(`stage${this.#stage}_metrics.json`);
    this.#progress.epoch = epoch;
    this.#progress.step = 0;
    await keepEpoch(this.#context, this.#stage, epoch, validated && Number.isFinite(loss) ? loss : null);
    const seconds = trained.seconds + (validated?.seconds ?? 0);
    const features = featuresOf(trained, validated);
    log.info(
      this.#logger,
      `epoch ${epoch}/${epochs}: train ${numbers(trained.losses)}; val ${validated ? numbers(validated.losses) : "none"}; lr ${trained.lr}; ${told(features)}${seconds.toFixed(1)} s`,
    );
    const { losses: train, lr } = trained;
    emit({
      type: "epoch",
      stage: this.#stage,
      fold,
      epoch,
      epochs,
      lr,
      seconds,
      train,
      validation: validated?.losses ?? null,
      improved,
      features,
    });
  }

  #validate(): Promise<ValidateReport> {
    const { config, session, store, valTiles, signal, warn } = this.#context;
    const onNotice = ({ message }: { message: string }) => warn(message);
    return session.validate({ store, indices: valTiles, batchSize: config.batchSize, signal, onNotice });
  }

  /** Stopped meanwhile: all batches of the epoch are done; what comes after them is repeated on resume. */
  async #repeatable<T>(steps: number, work: Promise<T>): Promise<T> {
    return work.catch(async (error: unknown) => {
      if (this.#context.signal?.aborted) await this.#stop(steps);
      throw error;
    });
  }

  async #judge(epoch: number, loss: number): Promise<boolean> {
    const { best } = this.#progress;
    if (!Number.isFinite(loss) || (best && loss >= (best.loss ?? Number.POSITIVE_INFINITY))) return false;
    await this.#saveBest(epoch, loss);
    return true;
  }

  /** Without validation the weights of the last epoch are the model. */
  async #keepLast(epoch: number, epochs: number, loss: number): Promise<boolean> {
    if (epoch === epochs && Number.isFinite(loss)) await this.#saveBest(epoch, null);
    return false;
  }

  async #saveBest(epoch: number, loss: number | null): Promise<void> {
    const { session, checkpoints, emit, fold } = this.#context;
    this.#progress.best = await checkpoints.saveBest((path) => session.save(path), { stage: this.#stage, epoch, loss });
    emit({
      type: "checkpoint",
      stage: this.#stage,
      fold,
      epoch,
      kind: "best",
      path: checkpoints.getBestModelPath(this.#stage),
    });
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
}

function numbers(losses: Losses): string {
  return Object.entries(losses)
    .map(([name, value]) => `${name} ${value?.toFixed(6) ?? "-"}`)
    .join(", ");
}

function featuresOf(...reports: (ValidateReport | null)[]): ValidateReport["features"] {
  const sum = (key: "kept" | "computed") => reports.reduce((all, report) => all + (report?.features[key] ?? 0), 0);
  return { kept: sum("kept"), computed: sum("computed") };
}

/** Nothing where no trunk is frozen. */
function told({ kept, computed }: ValidateReport["features"]): string {
  return kept + computed > 0 ? `features ${kept} kept, ${computed} computed; ` : "";
}

function memory(): string {
  return `, memory ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`;
}
