/**
 * Names, writes and removes the weights of one fold: the best and the last of each stage, and epochs on the way.
 *
 * Everything is written under another name first and then takes its place, and manifest.json says what each file is. The best
 * weights of a run are first kept as versions in the resume folder, so that the run state on disk always names weights that
 * still exist, whenever the process dies.
 */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { CellsamError } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { linkOrCopy } from "../files/linkOrCopy.js";
import { type CheckpointInfo, type CheckpointKind, Manifest, type ManifestEntry } from "./manifest.js";

export interface SavedWeights {
  bytes: number;
  sha256: string;
}

/** What can write its weights to a path: a Session. */
export interface Saves {
  save(path: string): Promise<SavedWeights>;
}

/** A version of a stage's best weights, as the run state names it. */
export interface BestCheckpoint {
  stage: 1 | 2;
  /** Counted from 1. */
  epoch: number;
  /** null without validation. */
  loss: number | null;
  sha256: string;
  bytes: number;
  /** File in the resume folder. */
  file: string;
}

export interface CheckpointOptions {
  /** models/fold_N. */
  checkpointDir: string;
  /** Where the versions of the best weights wait until the run state names them. Default: checkpointDir. */
  resumeDir?: string;
  /** Counted from 1; keeps the folds' versions apart. Default 1. */
  fold?: number;
  /** Default "experiment". */
  experimentName?: string;
  /** Keeps no epoch checkpoints. Default false. */
  keepBestOnly?: boolean;
  /** Newest epoch checkpoints to keep in each stage; 0 keeps all. Default 3. */
  keepLastN?: number;
}

/** One checkpoint with its path. */
export interface Checkpoint extends CheckpointInfo {
  path: string;
  fold: number;
  experimentName: string;
}

export interface SaveOptions {
  /** Counted from 1. */
  epoch: number;
  metric?: number | null;
  /** Default "loss". */
  metricName?: string;
  stage?: 1 | 2;
  /** Also makes these weights the best ones of the stage. Default false. */
  isBest?: boolean;
  additionalInfo?: Record<string, unknown>;
}

export class Checkpoints {
  readonly checkpointDir: string;
  readonly resumeDir: string;
  readonly fold: number;
  readonly experimentName: string;
  readonly keepBestOnly: boolean;
  readonly keepLastN: number;
  protected readonly manifest: Manifest;

  /** @throws CellsamError ERR_CONFIG for a keepLastN that is not an integer >= 0 */
  constructor({
    checkpointDir,
    resumeDir = checkpointDir,
    fold = 1,
    experimentName = "experiment",
    keepBestOnly = false,
    keepLastN = 3,
  }: CheckpointOptions) {
    if (!Number.isInteger(keepLastN) || keepLastN < 0)
      throw new CellsamError("ERR_CONFIG", "CheckpointManager: keepLastN must be an integer >= 0");
    this.checkpointDir = checkpointDir;
    this.resumeDir = resumeDir;
    this.fold = fold;
    this.experimentName = experimentName;
    this.keepBestOnly = keepBestOnly;
    this.keepLastN = keepLastN;
    this.manifest = new Manifest(checkpointDir);
  }

  /** best_model_s1.pth, best_model_s2.pth, or best_model.pth without a stage. */
  getBestModelPath(stage?: 1 | 2): string {
    return join(this.checkpointDir, `best_model${suffix(stage)}.pth`);
  }

  /** final_model_s1.pth, final_model_s2.pth, or final_model.pth without a stage. */
  getFinalModelPath(stage?: 1 | 2): string {
    return join(this.checkpointDir, `final_model${suffix(stage)}.pth`);
  }

  /**
   * Writes s1_epoch_E.pth (checkpoint_epoch_E.pth without a stage), returns its path, and removes the stage's oldest epoch
   * checkpoints beyond keepLastN. With keepBestOnly only a best one is written, and null is returned.
   */
  async saveCheckpoint(model: Saves, options: SaveOptions): Promise<string | null> {
    const { stage, epoch, isBest = false } = options;
    let path: string | null = null;
    if (!this.keepBestOnly) {
      path = join(this.checkpointDir, `${stage ? `s${stage}` : "checkpoint"}_epoch_${epoch}.pth`);
      await this.#write(model, path, "epoch", options);
    }
    if (isBest) await this.saveBestModel(model, options);
    await this.#removeOld(stage);
    return path;
  }

  /** Replaces the best weights of the stage and returns their path. Whether they are better is for the caller to know. */
  saveBestModel(model: Saves, options: SaveOptions): Promise<string> {
    return this.#write(model, this.getBestModelPath(options.stage), "best", options);
  }

  /** Replaces the last weights of the stage and returns their path. */
  saveFinalModel(model: Saves, options: SaveOptions): Promise<string> {
    return this.#write(model, this.getFinalModelPath(options.stage), "final", options);
  }

  /** All checkpoints that exist, by stage and epoch. */
  async listCheckpoints(): Promise<Checkpoint[]> {
    return Object.entries(await this.manifest.files())
      .map(([name, entry]) => this.describe(entry, join(this.checkpointDir, name)))
      .filter(({ path }) => existsSync(path))
      .sort((a, b) => (a.stage ?? 0) - (b.stage ?? 0) || a.epoch - b.epoch || a.kind.localeCompare(b.kind));
  }

  /** Saves a new best version through `save`, which writes the weights to the path it gets, and publishes it. */
  async saveBest(
    save: (path: string) => Promise<SavedWeights>,
    { stage, epoch, loss }: Pick<BestCheckpoint, "stage" | "epoch" | "loss">,
  ): Promise<BestCheckpoint> {
    const file = `best_f${this.fold}_s${stage}_e${epoch}.pth`;
    const { sha256, bytes } = await save(join(this.resumeDir, file));
    const best: BestCheckpoint = { stage, epoch, loss, sha256, bytes, file };
    await this.publish(best);
    return best;
  }

  /** Makes best_model_sN.pth the weights of the version `best`. */
  async publish(best: BestCheckpoint): Promise<void> {
    await makeFolder(this.checkpointDir);
    const version = join(this.resumeDir, best.file);
    const target = this.getBestModelPath(best.stage);
    const temporary = `${target}.tmp`;
    await rm(temporary, { force: true });
    await linkOrCopy(version, temporary);
    const { sha256, bytes, stage, epoch, loss: metric } = best;
    const info = { kind: "best", stage, epoch, metric, metricName: "loss", sha256, bytes } as const;
    await this.manifest.place(temporary, basename(target), info);
  }

  /** Removes published weights of `stage` that belong to epochs which the resumed run will train again. */
  async retract(stage: 1 | 2): Promise<void> {
    await this.manifest.remove([basename(this.getBestModelPath(stage))]);
  }

  /** Removes versions and states of this run that are not in `keep`. */
  async prune(keep: readonly (string | null | undefined)[]): Promise<void> {
    for (const file of await readdir(this.resumeDir)) {
      if (/^(best|state)_(?!model)/.test(file) && !keep.includes(file)) await rm(join(this.resumeDir, file), { force: true });
    }
  }

  protected describe({ next: _, metric_name, additional_info, ...info }: ManifestEntry, path: string): Checkpoint {
    const { fold, experimentName } = this;
    const more = additional_info && { additionalInfo: additional_info };
    return { ...info, metricName: metric_name, ...more, path, fold, experimentName };
  }

  async #write(model: Saves, path: string, kind: CheckpointKind, options: SaveOptions): Promise<string> {
    const { epoch, metric = null, metricName = "loss", stage = null, additionalInfo } = options;
    await makeFolder(this.checkpointDir);
    const temporary = `${path}.tmp`;
    const { sha256, bytes } = await model.save(temporary);
    const info = { kind, stage, epoch, metric, metricName, sha256, bytes, ...(additionalInfo && { additionalInfo }) };
    await this.manifest.place(temporary, basename(path), info);
    return path;
  }

  async #removeOld(stage: 1 | 2 | undefined): Promise<void> {
    const epochs = (await this.listCheckpoints()).filter((found) => found.kind === "epoch" && found.stage === (stage ?? null));
    const kept = this.keepBestOnly ? 0 : this.keepLastN || epochs.length;
    await this.manifest.remove(epochs.slice(0, epochs.length - kept).map(({ path }) => basename(path)));
  }
}

const suffix = (stage?: 1 | 2) => (stage ? `_s${stage}` : "");
