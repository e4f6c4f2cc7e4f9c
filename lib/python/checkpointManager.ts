/**
 * The Python module's CheckpointManager: what it asks of the checkpoints of a fold beside writing them, which a run never does.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CellsamError } from "../errors.js";
import { writeJson } from "../files/json.js";
import { type Checkpoint, type CheckpointOptions, Checkpoints } from "../train/checkpoints.js";
import type { CheckpointKind, ManifestEntry } from "../train/manifest.js";

export type { Checkpoint } from "../train/checkpoints.js";
export type CheckpointManagerOptions = CheckpointOptions;

/** What can read weights from a path: a Session. */
export interface Loads {
  load(path: string): Promise<unknown>;
}

/** Saves, finds and loads the weights of one fold. */
export class CheckpointManager extends Checkpoints {
  /**
   * Loads weights into `model`: those of `path`, else the final ones (`final`), else the best ones of the stage, after their
   * SHA-256 was compared with the manifest's. Returns what was loaded, or null when there is no such checkpoint and no path was
   * named.
   * @throws CellsamError ERR_CHECKPOINT_NOT_FOUND for a path that is not there, ERR_CHECKPOINT_CORRUPT for a file that is not
   * what was written, and whatever the model finds wrong with the weights
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
    const entry = await this.manifest.entryOf(wanted);
    if (entry) {
      const { fileHash } = await import("../files/fileHash.js");
      const sha256 = await fileHash(wanted);
      if (sha256 !== entry.sha256 && sha256 !== entry.next) {
        const message = `${wanted} is not the file that was saved: its content has changed. Restore it, or load another checkpoint`;
        throw new CellsamError("ERR_CHECKPOINT_CORRUPT", message, { detail: { path: wanted } });
      }
    }
    await model.load(wanted);
    return this.describe(entry ?? unknownEntry, wanted);
  }

  /** The best checkpoint of the stage as the manifest knows it; null when there is none. */
  async getBestCheckpointInfo(stage?: 1 | 2): Promise<Checkpoint | null> {
    const path = this.getBestModelPath(stage);
    const entry = await this.manifest.entryOf(path);
    return entry && existsSync(path) ? this.describe(entry, path) : null;
  }

  /** Whether there is a checkpoint of this kind for the stage, or for none. */
  async hasCheckpoint(stage?: 1 | 2, kind: CheckpointKind = "best"): Promise<boolean> {
    return (await this.listCheckpoints()).some((found) => found.kind === kind && found.stage === (stage ?? null));
  }

  /** All checkpoints, and the bytes that they take. */
  async getCheckpointSummary(): Promise<{ count: number; bytes: number; fold: number; checkpoints: Checkpoint[] }> {
    const checkpoints = await this.listCheckpoints();
    const bytes = checkpoints.reduce((sum, found) => sum + found.bytes, 0);
    return { count: checkpoints.length, bytes, fold: this.fold, checkpoints };
  }

  /** Writes training_info.json beside the checkpoints and returns its path. */
  async saveTrainingInfo(info: Record<string, unknown>): Promise<string> {
    const path = join(this.checkpointDir, "training_info.json");
    await writeJson(path, { experiment_name: this.experimentName, fold: this.fold, ...info });
    return path;
  }
}

/** Of a file that the manifest does not name. */
const unknownEntry: ManifestEntry = {
  kind: "epoch",
  stage: null,
  epoch: 0,
  metric: null,
  metric_name: "loss",
  sha256: "",
  bytes: 0,
};
