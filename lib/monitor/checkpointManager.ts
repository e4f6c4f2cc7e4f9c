/**
 * Names, writes, finds and removes the weights of one fold: the best and the last of each stage, and epochs on the way.
 *
 * Everything is written under another name first and then takes its place, and manifest.json tells each file's epoch, metric and
 * SHA-256. The runner's best weights are first kept as versions in the resume folder, so that the run state on disk always names
 * weights that still exist, whenever the process dies.
 */
import { existsSync } from "node:fs";
import { copyFile, link, mkdir, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { CellsamError } from "../errors.js";
import { replaceFile } from "../replaceFile.js";
import { readJson, writeJson } from "./json.js";

export interface SavedWeights {
  bytes: number;
  sha256: string;
}

/** What can write its weights to a path: a Session. */
export interface Saves {
  save(path: string): Promise<SavedWeights>;
}

/** What can read weights from a path: a Session. */
export interface Loads {
  load(path: string): Promise<unknown>;
}

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

export interface CheckpointManagerOptions {
  /** models/fold_X */
  checkpointDir: string;
  /** Where the runner's versions wait until the run state names them. Default: checkpointDir. */
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

export type CheckpointKind = "best" | "final" | "epoch";

export interface CheckpointInfo {
  kind: CheckpointKind;
  stage: 1 | 2 | null;
  /** Counted from 1. */
  epoch: number;
  /** The metric's value; null where it is not finite or not known. */
  metric: number | null;
  metricName: string;
  sha256: string;
  bytes: number;
  additionalInfo?: Record<string, unknown>;
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
  /** Also makes these weights the best ones of the stage. */
  isBest?: boolean;
  additionalInfo?: Record<string, unknown>;
}

/** An entry of manifest.json. */
type Entry = Omit<CheckpointInfo, "metricName" | "additionalInfo"> & {
  metric_name: string;
  additional_info?: Record<string, unknown>;
  /** SHA-256 of the file that is about to take this place: a kill between two writes leaves one of both. */
  next?: string;
};

interface Manifest {
  files: Record<string, Entry>;
}

export class CheckpointManager {
  readonly checkpointDir: string;
  readonly resumeDir: string;
  readonly fold: number;
  readonly experimentName: string;
  readonly keepBestOnly: boolean;
  readonly keepLastN: number;

  /** @throws CellsamError ERR_CONFIG for a keepLastN that is not an integer >= 0 */
  constructor({
    checkpointDir,
    resumeDir = checkpointDir,
    fold = 1,
    experimentName = "experiment",
    keepBestOnly = false,
    keepLastN = 3,
  }: CheckpointManagerOptions) {
    if (!Number.isInteger(keepLastN) || keepLastN < 0)
      throw new CellsamError("ERR_CONFIG", "CheckpointManager: keepLastN must be an integer >= 0");
    this.checkpointDir = checkpointDir;
    this.resumeDir = resumeDir;
    this.fold = fold;
    this.experimentName = experimentName;
    this.keepBestOnly = keepBestOnly;
    this.keepLastN = keepLastN;
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
   * Writes s1_epoch_E.pth (checkpoint_epoch_E.pth without a stage) and removes the stage's oldest epoch checkpoints beyond
   * keepLastN. With keepBestOnly nothing but a best one is written, and the path of an epoch is null.
   */
  async saveCheckpoint(model: Saves, options: SaveOptions): Promise<string | null> {
    const { stage, epoch, isBest = false } = options;
    let path: string | null = null;
    if (!this.keepBestOnly) {
      path = join(this.checkpointDir, `${stage ? `s${stage}` : "checkpoint"}_epoch_${epoch}.pth`);
      await this.#write(model, path, "epoch", options);
    }
    if (isBest) await this.saveBestModel(model, options);
    await this.#retain(stage);
    return path;
  }

  /** Replaces the best weights of the stage. Whether they are better is the caller's to know. */
  saveBestModel(model: Saves, options: SaveOptions): Promise<string> {
    return this.#write(model, this.getBestModelPath(options.stage), "best", options);
  }

  /** Replaces the last weights of the stage. */
  saveFinalModel(model: Saves, options: SaveOptions): Promise<string> {
    return this.#write(model, this.getFinalModelPath(options.stage), "final", options);
  }

  /**
   * Loads weights into `model`: those of `path`, else the final ones (`final`), else the best ones of the stage, after their
   * SHA-256 was compared with the manifest's. Answers what was loaded, or null when there is no such checkpoint and no path was named.
   * @throws CellsamError ERR_CHECKPOINT_NOT_FOUND for a path that is not there, ERR_CHECKPOINT_CORRUPT for a file that is not what
   * was written, and whatever the model finds wrong with the weights
   */
  async loadCheckpoint(
    model: Loads,
    { path, stage, final = false }: { path?: string; stage?: 1 | 2; final?: boolean } = {},
  ): Promise<Checkpoint | null> {
    const wanted = path ?? (final ? this.getFinalModelPath(stage) : this.getBestModelPath(stage));
    if (!existsSync(wanted)) {
      if (path === undefined) return null;
      throw new CellsamError("ERR_CHECKPOINT_NOT_FOUND", `no checkpoint at ${path}`, { detail: { path } });
    }
    const name = basename(wanted);
    const entry = wanted === join(this.checkpointDir, name) ? (await this.#manifest()).files[name] : undefined;
    if (entry) {
      const { fileHash } = await import("../fileHash.js");
      const sha256 = await fileHash(wanted);
      if (sha256 !== entry.sha256 && sha256 !== entry.next) {
        const message = `${wanted} is not the file that was saved: its content has changed. Restore it, or load another checkpoint`;
        throw new CellsamError("ERR_CHECKPOINT_CORRUPT", message, { detail: { path: wanted } });
      }
    }
    await model.load(wanted);
    return this.#described(entry ?? unknownEntry, wanted);
  }

  /** The best checkpoint of the stage as the manifest knows it; null when there is none. */
  async getBestCheckpointInfo(stage?: 1 | 2): Promise<Checkpoint | null> {
    const path = this.getBestModelPath(stage);
    const entry = (await this.#manifest()).files[basename(path)];
    return entry && existsSync(path) ? this.#described(entry, path) : null;
  }

  /** All checkpoints that exist, by stage and epoch. */
  async listCheckpoints(): Promise<Checkpoint[]> {
    const { files } = await this.#manifest();
    return Object.entries(files)
      .map(([name, entry]) => this.#described(entry, join(this.checkpointDir, name)))
      .filter(({ path }) => existsSync(path))
      .sort((a, b) => (a.stage ?? 0) - (b.stage ?? 0) || a.epoch - b.epoch || a.kind.localeCompare(b.kind));
  }

  async hasCheckpoint(stage?: 1 | 2, kind: CheckpointKind = "best"): Promise<boolean> {
    return (await this.listCheckpoints()).some((found) => found.kind === kind && found.stage === (stage ?? null));
  }

  async getCheckpointSummary(): Promise<{ count: number; bytes: number; fold: number; checkpoints: Checkpoint[] }> {
    const checkpoints = await this.listCheckpoints();
    const bytes = checkpoints.reduce((sum, found) => sum + found.bytes, 0);
    return { count: checkpoints.length, bytes, fold: this.fold, checkpoints };
  }

  /** Writes training_info.json beside the checkpoints and answers its path. */
  async saveTrainingInfo(info: Record<string, unknown>): Promise<string> {
    const path = join(this.checkpointDir, "training_info.json");
    await writeJson(path, { experiment_name: this.experimentName, fold: this.fold, ...info });
    return path;
  }

  /** Saves a new best version through `save`, which writes the weights to the path it gets, and publishes it. */
  async saveBest(
    save: (path: string) => Promise<SavedWeights>,
    { stage, epoch, loss }: { stage: 1 | 2; epoch: number; loss: number | null },
  ): Promise<BestCheckpoint> {
    const file = `best_f${this.fold}_s${stage}_e${epoch}.pth`;
    const { sha256, bytes } = await save(join(this.resumeDir, file));
    const best: BestCheckpoint = { stage, epoch, loss, sha256, bytes, file };
    await this.publish(best);
    return best;
  }

  /** Makes best_model_sN.pth the weights of the version `best`, and says so in manifest.json. */
  async publish(best: BestCheckpoint): Promise<void> {
    await mkdir(this.checkpointDir, { recursive: true });
    const source = join(this.resumeDir, best.file);
    const target = this.getBestModelPath(best.stage);
    const temporary = `${target}.tmp`;
    await rm(temporary, { force: true });
    // A hard link costs no space; file systems without them get a copy.
    await link(source, temporary).catch(() => copyFile(source, temporary));
    const { sha256, bytes, stage, epoch, loss } = best;
    await this.#place(temporary, target, { kind: "best", stage, epoch, metric: loss, metricName: "loss", sha256, bytes });
  }

  /** Forgets published weights of `stage` that belong to epochs which the resumed run will train again. */
  async retract(stage: 1 | 2): Promise<void> {
    await this.#remove([basename(this.getBestModelPath(stage))]);
  }

  /** Removes versions and states of this run that nothing names any more. */
  async prune(keep: readonly (string | null | undefined)[]): Promise<void> {
    for (const file of await readdir(this.resumeDir)) {
      if (/^(best|state)_(?!model)/.test(file) && !keep.includes(file)) await rm(join(this.resumeDir, file), { force: true });
    }
  }

  async #write(model: Saves, path: string, kind: CheckpointKind, options: SaveOptions): Promise<string> {
    const { epoch, metric = null, metricName = "loss", stage, additionalInfo } = options;
    await mkdir(this.checkpointDir, { recursive: true });
    const temporary = `${path}.tmp`;
    const { sha256, bytes } = await model.save(temporary);
    const info = { kind, stage: stage ?? null, epoch, metric, metricName, sha256, bytes };
    await this.#place(temporary, path, { ...info, ...(additionalInfo && { additionalInfo }) });
    return path;
  }

  /** Gives `temporary` its name. At every moment the manifest knows the hash of the file that bears it. */
  async #place(temporary: string, path: string, entry: CheckpointInfo): Promise<void> {
    const manifest = await this.#manifest();
    const name = basename(path);
    const before = manifest.files[name];
    if (before && existsSync(path)) {
      manifest.files[name] = { ...before, next: entry.sha256 };
      await writeJson(this.#manifestPath, manifest);
    }
    await replaceFile(temporary, path);
    // Renaming one link of a file over another link of it does nothing, and leaves both.
    await rm(temporary, { force: true });
    const { metricName: metric_name, additionalInfo: additional_info, ...rest } = entry;
    manifest.files[name] = { ...rest, metric_name, ...(additional_info && { additional_info }) };
    await writeJson(this.#manifestPath, manifest);
  }

  async #retain(stage: 1 | 2 | undefined): Promise<void> {
    const epochs = (await this.listCheckpoints()).filter((found) => found.kind === "epoch" && found.stage === (stage ?? null));
    const kept = this.keepBestOnly ? 0 : this.keepLastN || epochs.length;
    await this.#remove(epochs.slice(0, epochs.length - kept).map(({ path }) => basename(path)));
  }

  /** The names go first: a manifest never names a file that is not there. */
  async #remove(names: readonly string[]): Promise<void> {
    const manifest = await this.#manifest();
    if (names.some((name) => manifest.files[name])) {
      for (const name of names) delete manifest.files[name];
      await writeJson(this.#manifestPath, manifest);
    }
    for (const name of names) await rm(join(this.checkpointDir, name), { force: true });
  }

  #described({ next: _, metric_name: metricName, additional_info: additionalInfo, ...info }: Entry, path: string): Checkpoint {
    return {
      ...info,
      metricName,
      ...(additionalInfo && { additionalInfo }),
      path,
      fold: this.fold,
      experimentName: this.experimentName,
    };
  }

  get #manifestPath(): string {
    return join(this.checkpointDir, "manifest.json");
  }

  async #manifest(): Promise<Manifest> {
    return existsSync(this.#manifestPath) ? readJson<Manifest>(this.#manifestPath) : { files: {} };
  }
}

const unknownEntry: Entry = {
  kind: "epoch",
  stage: null,
  epoch: 0,
  metric: null,
  metric_name: "loss",
  sha256: "",
  bytes: 0,
};

const suffix = (stage?: 1 | 2) => (stage ? `_s${stage}` : "");
