/**
 * manifest.json beside the weights of a fold: epoch, metric and SHA-256 of each file. It never names a file that is not there,
 * and at every moment, also after a kill between two writes, it knows the hash of the file that bears a name. A damaged one is
 * made anew from the files.
 */
import { existsSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileHash } from "../files/fileHash.js";
import { readChecked, writeChecked } from "../files/json.js";
import { replaceFile } from "../files/replaceFile.js";

export type CheckpointKind = "best" | "final" | "epoch";

export interface CheckpointInfo {
  kind: CheckpointKind;
  stage: 1 | 2 | null;
  /** Counted from 1; 0 where it is not known, in a manifest that was made anew. */
  epoch: number;
  /** The metric's value; null where it is not finite or not known. */
  metric: number | null;
  metricName: string;
  sha256: string;
  bytes: number;
  additionalInfo?: Record<string, unknown>;
}

/** An entry of the file. */
export type ManifestEntry = Omit<CheckpointInfo, "metricName" | "additionalInfo"> & {
  metric_name: string;
  additional_info?: Record<string, unknown>;
  /** SHA-256 of the file that is about to take this name: a kill between two writes leaves one of both. */
  next?: string;
};

type Files = Record<string, ManifestEntry>;

export class Manifest {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Entries by file name, also of files that are gone. */
  async files(): Promise<Files> {
    if (!existsSync(this.#path)) return {};
    return readChecked<{ files: Files }>(this.#path).then(
      ({ files }) => files,
      () => filesFound(this.#folder),
    );
  }

  /** Moves `temporary` to `name` in the folder, replacing what is there. */
  async place(temporary: string, name: string, { metricName, additionalInfo, ...info }: CheckpointInfo): Promise<void> {
    const files = await this.files();
    const path = join(this.#folder, name);
    const before = files[name];
    if (before && existsSync(path)) {
      files[name] = { ...before, next: info.sha256 };
      await this.#write(files);
    }
    await replaceFile(temporary, path);
    // Renaming one link of a file over another link of it does nothing, and leaves both.
    await rm(temporary, { force: true });
    files[name] = { ...info, metric_name: metricName, ...(additionalInfo && { additional_info: additionalInfo }) };
    await this.#write(files);
  }

  /** Removes files. Their names leave the manifest first. */
  async remove(names: readonly string[]): Promise<void> {
    const files = await this.files();
    if (names.some((name) => files[name])) {
      for (const name of names) delete files[name];
      await this.#write(files);
    }
    for (const name of names) await rm(join(this.#folder, name), { force: true });
  }

  /** The entry of a file of this folder, whatever lies elsewhere under the same name. */
  async entryOf(path: string): Promise<ManifestEntry | undefined> {
    const name = basename(path);
    return path === join(this.#folder, name) ? (await this.files())[name] : undefined;
  }

  get #path(): string {
    return join(this.#folder, "manifest.json");
  }

  #write(files: Files): Promise<void> {
    return writeChecked(this.#path, { files });
  }
}

/** What the names of the weights in a folder say about them, and their hashes. */
async function filesFound(folder: string): Promise<Files> {
  const files: Files = {};
  for (const name of await readdir(folder)) {
    const [, kind, ofKind] = /^(best|final)_model(?:_s([12]))?\.pth$/.exec(name) ?? [];
    const [, ofEpoch, epoch] = /^(?:s([12])|checkpoint)_epoch_(\d+)\.pth$/.exec(name) ?? [];
    if (!kind && !epoch) continue;
    const path = join(folder, name);
    files[name] = {
      kind: (kind ?? "epoch") as CheckpointKind,
      stage: (Number(ofKind ?? ofEpoch ?? 0) as 1 | 2 | 0) || null,
      epoch: Number(epoch ?? 0),
      metric: null,
      metric_name: "loss",
      sha256: await fileHash(path),
      bytes: (await stat(path)).size,
    };
  }
  return files;
}
