/**
 * Names, publishes and records the best weights of each stage of one fold.
 *
 * A best checkpoint is first saved under a name of its own and only then takes the place of best_model_sN.pth, so that the
 * run state on disk always names weights that still exist, whenever the process dies.
 */
import { existsSync } from "node:fs";
import { copyFile, link, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { readJson, writeJson } from "./json.js";

export interface SavedWeights {
  bytes: number;
  sha256: string;
}

export interface BestCheckpoint {
  stage: 1 | 2;
  /** Counted from 1. */
  epoch: number;
  loss: number;
  sha256: string;
  bytes: number;
  /** File in the resume folder. */
  file: string;
}

export interface CheckpointManagerOptions {
  /** models/fold_X */
  checkpointDir: string;
  /** Where versions wait until the run state names them. */
  resumeDir: string;
  /** Counted from 1; keeps the folds' versions apart. */
  fold?: number;
}

interface Manifest {
  files: Record<string, { sha256: string; bytes: number; stage: number; epoch: number; loss: number }>;
}

export class CheckpointManager {
  readonly checkpointDir: string;
  readonly resumeDir: string;
  readonly fold: number;

  constructor({ checkpointDir, resumeDir, fold = 1 }: CheckpointManagerOptions) {
    this.checkpointDir = checkpointDir;
    this.resumeDir = resumeDir;
    this.fold = fold;
  }

  getBestModelPath(stage: 1 | 2): string {
    return join(this.checkpointDir, `best_model_s${stage}.pth`);
  }

  /** Saves a new best through `save`, which writes the weights to the path it gets, and publishes it. */
  async saveBest(
    save: (path: string) => Promise<SavedWeights>,
    { stage, epoch, loss }: { stage: 1 | 2; epoch: number; loss: number },
  ): Promise<BestCheckpoint> {
    const file = `best_f${this.fold}_s${stage}_e${epoch}.pth`;
    const { sha256, bytes } = await save(join(this.resumeDir, file));
    const best: BestCheckpoint = { stage, epoch, loss, sha256, bytes, file };
    await this.publish(best);
    return best;
  }

  /** Makes best_model_sN.pth the weights of `best`, and says so in manifest.json. */
  async publish(best: BestCheckpoint): Promise<void> {
    await mkdir(this.checkpointDir, { recursive: true });
    const source = join(this.resumeDir, best.file);
    const target = this.getBestModelPath(best.stage);
    const temporary = `${target}.tmp`;
    await rm(temporary, { force: true });
    // A hard link costs no space; file systems without them get a copy.
    await link(source, temporary).catch(() => copyFile(source, temporary));
    await rename(temporary, target);
    // Renaming one link of a file over another link of it does nothing, and leaves both.
    await rm(temporary, { force: true });
    const manifest = await this.#manifest();
    const { sha256, bytes, stage, epoch, loss } = best;
    manifest.files[basename(target)] = { sha256, bytes, stage, epoch, loss };
    await writeJson(this.#manifestPath, manifest);
  }

  /** Forgets published weights of `stage` that belong to epochs which the resumed run will train again. */
  async retract(stage: 1 | 2): Promise<void> {
    const target = this.getBestModelPath(stage);
    const manifest = await this.#manifest();
    // The name goes first: a manifest never names a file that is not there.
    if (manifest.files[basename(target)]) {
      delete manifest.files[basename(target)];
      await writeJson(this.#manifestPath, manifest);
    }
    await rm(target, { force: true });
  }

  /** Removes versions and states of this run that nothing names any more. */
  async prune(keep: readonly (string | null | undefined)[]): Promise<void> {
    for (const file of await readdir(this.resumeDir)) {
      if (/^(best|state)_/.test(file) && !keep.includes(file)) await rm(join(this.resumeDir, file), { force: true });
    }
  }

  get #manifestPath(): string {
    return join(this.checkpointDir, "manifest.json");
  }

  async #manifest(): Promise<Manifest> {
    return existsSync(this.#manifestPath) ? readJson<Manifest>(this.#manifestPath) : { files: {} };
  }
}
