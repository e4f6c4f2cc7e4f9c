/** Where studio keeps what it writes, and what it remembers over a restart. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeJson } from "../files/json.js";
import type { LabelFiles } from "./labels.js";

/** The side of a split that a corrected image is on. */
export type Side = "training" | "validation";

/** The name of the model that the server was started with, among those of runs. */
export const defaultRun = "default";

interface Remembered {
  format: 1;
  model: string;
  /** The model before it. */
  before: string | null;
  /** Of every image that was ever corrected, by name: a side never changes. */
  sides: Record<string, Side>;
}

export const splitRule =
  "Whole images are held out: the second one that is corrected, and of all others every fourth, by a hash of its name. " +
  "The first one always trains, and a side never changes.";

export class StudioFolder {
  readonly root: string;
  readonly runs: string;
  readonly #file: string;
  #kept: Remembered;
  #writing: Promise<void> = Promise.resolve();

  private constructor(root: string, kept: Remembered) {
    this.root = root;
    this.runs = join(root, "runs");
    this.#file = join(root, "studio.json");
    this.#kept = kept;
  }

  /** @throws CellsamError ERR_FILE when studio.json is damaged */
  static async open(root: string): Promise<StudioFolder> {
    const file = join(root, "studio.json");
    const nothing: Remembered = { format: 1, model: defaultRun, before: null, sides: {} };
    return new StudioFolder(root, existsSync(file) ? { ...nothing, ...(await readJson<Remembered>(file)) } : nothing);
  }

  get model(): string {
    return this.#kept.model;
  }

  get before(): string | null {
    return this.#kept.before;
  }

  setModel(model: string, before: string | null): Promise<void> {
    return this.#keep({ model, before });
  }

  side(name: string): Side | null {
    return this.#kept.sides[name] ?? null;
  }

  /** Decides on the side of an image when it is corrected for the first time; see `splitRule`. */
  async decideSide(name: string): Promise<void> {
    if (this.side(name)) return;
    const known = Object.keys(this.#kept.sides).length;
    const fourth = createHash("sha256").update(name).digest().readUInt32LE() % 4 === 0;
    const side = known === 1 || (known > 1 && fourth) ? "validation" : "training";
    await this.#keep({ sides: { ...this.#kept.sides, [name]: side } });
  }

  /** Writes are made one after the other: the last one stays. */
  #keep(change: Partial<Remembered>): Promise<void> {
    this.#kept = { ...this.#kept, ...change };
    const kept = this.#kept;
    this.#writing = this.#writing.catch(() => undefined).then(() => writeJson(this.#file, kept));
    return this.#writing;
  }

  /** The files of the labels of the image `name`, which is a file's name without its extension. */
  labels(name: string): LabelFiles {
    const drafts = join(this.root, "drafts");
    return {
      base: join(drafts, "base", `${name}.tif`),
      journal: join(drafts, `${name}.journal`),
      draft: join(drafts, `${name}.tif`),
      correction: join(this.corrections, `${name}.tif`),
    };
  }

  /** Labels of images that are done, as a training takes them. */
  get corrections(): string {
    return join(this.root, "corrections");
  }

  /** What the model of a run predicts. */
  predictions(run: string): string {
    return join(this.root, "predictions", run);
  }

  /** The images and masks that a run is trained on. */
  trainingData(run: string): string {
    return join(this.root, "data", run);
  }

  run(name: string): string {
    return join(this.runs, name);
  }
}
