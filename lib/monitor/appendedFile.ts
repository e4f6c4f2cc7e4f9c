/** A file that grows while something runs, such as a log. A full disk ends the file and not the run. */
import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/** Gets the file and the error of the write that failed. */
export type OnWriteFailure = (path: string, error: Error) => void;

export class AppendedFile {
  readonly path: string;
  readonly #onFailure: OnWriteFailure | undefined;
  #failed = false;

  /** Makes the folder of the file. `onFailure` is called at most once; after it nothing more is written. */
  constructor(path: string, onFailure?: OnWriteFailure) {
    this.path = path;
    this.#onFailure = onFailure;
    this.attempt(() => mkdirSync(dirname(path), { recursive: true }));
  }

  /** Appends synchronously, so that what was written last before a crash is in the file. Never throws. */
  append(data: string | Uint8Array): void {
    this.attempt(() => appendFileSync(this.path, data));
  }

  /** Does `work` on the file, unless it has failed before. Never throws. */
  attempt(work: () => void): void {
    if (this.#failed) return;
    try {
      work();
    } catch (error) {
      this.#failed = true;
      this.#onFailure?.(this.path, error as Error);
    }
  }
}
