/** What models predict, kept on disk: for each run a folder with a label map and the scores of the cells of each image. */
import { existsSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Prediction } from "../engine/session.js";
import { readJson, writeJson } from "../files/json.js";
import { meanOrNull } from "../stats/summary.js";
import { readLabelFile, writeLabelFile } from "./labelFile.js";

/** What is known of a prediction without its label map. */
export interface PredictionFacts {
  cells: number;
  /** Of the cells by id, which count from 1. */
  scores: (number | null)[];
}

interface Size {
  width: number;
  height: number;
}

export class Predictions {
  readonly #folder: string;
  readonly #facts = new Map<string, PredictionFacts | null>();
  readonly #made = new Map<string, number>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** The predictions of the model in the file `weights`; those of other weights that the folder has are removed. */
  static async open(folder: string, weights: string): Promise<Predictions> {
    const { size, mtimeMs } = await stat(weights);
    const made = { format: 1, weights, size, changed: Math.round(mtimeMs) };
    const file = join(folder, "model.json");
    const found = existsSync(file) ? await readJson(file).catch(() => null) : null;
    if (JSON.stringify(found) !== JSON.stringify(made)) {
      await rm(folder, { recursive: true, force: true });
      await writeJson(file, made);
    }
    return new Predictions(folder);
  }

  /** The file of an image's label map, which is only ever replaced as a whole. */
  file(name: string): string {
    return join(this.#folder, "labels", `${name}.tif`);
  }

  #scores(name: string): string {
    return join(this.#folder, "scores", `${name}.json`);
  }

  /** null where the image was not predicted. */
  async facts(name: string): Promise<PredictionFacts | null> {
    const known = this.#facts.get(name);
    if (known !== undefined) return known;
    const read = await readJson<PredictionFacts>(this.#scores(name)).catch(() => null);
    // Meanwhile a prediction may have come.
    if (!this.#facts.has(name)) this.#facts.set(name, read);
    return this.#facts.get(name) ?? null;
  }

  /** Tells a prediction from a later one of the same image. */
  made(name: string): number {
    return this.#made.get(name) ?? 0;
  }

  /** The label map [H,W]. @throws CellsamError as readLabelFile */
  labels(name: string, size: Size): Promise<Int32Array> {
    return readLabelFile(this.file(name), size);
  }

  /** The label map is written first: where there are facts, there is one. */
  async write(name: string, { labels, scores, count }: Prediction): Promise<void> {
    const [height = 0, width = 0] = labels.shape;
    await writeLabelFile(this.file(name), { data: labels.data, width, height });
    const finite = (score: number | undefined) => (score !== undefined && Number.isFinite(score) ? score : null);
    const facts = { cells: count, scores: Array.from({ length: count }, (_, i) => finite(scores.data[i])) };
    await writeJson(this.#scores(name), facts);
    this.#facts.set(name, facts);
    this.#made.set(name, this.made(name) + 1);
  }
}

/** null without cells. */
export function meanScore({ scores }: PredictionFacts): number | null {
  return meanOrNull(scores.filter((score) => score !== null));
}
