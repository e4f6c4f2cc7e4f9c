/** What the list of images says of each: its state, how good its prediction is, and whether it is the next to correct. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import type { ImageRow } from "./api.js";
import type { StudioFolder } from "./folder.js";
import type { ImageList, StudioImage } from "./imageList.js";
import { readLabelFile } from "./labelFile.js";
import type { Models } from "./models.js";
import { ranks } from "./next.js";
import { meanScore, type Predictions } from "./predictions.js";
import { Scores, type Version } from "./scores.js";
import type { Workspace } from "./workspace.js";

/** What depends on one image only. */
interface Own {
  row: Omit<ImageRow, "next">;
  /** Whether the present model has segmented it. */
  predicted: boolean;
}

export class Rows {
  readonly #folder: StudioFolder;
  readonly #list: ImageList;
  readonly #models: Models;
  readonly #workspace: Workspace;
  readonly #scores = new Scores();
  /** As `look` found them last, by image. */
  readonly #own = new Map<number, Own>();
  #ranks: ReadonlyMap<number, number> = new Map();

  constructor(folder: StudioFolder, list: ImageList, models: Models, workspace: Workspace) {
    this.#folder = folder;
    this.#list = list;
    this.#models = models;
    this.#workspace = workspace;
  }

  /** Looks at every image. */
  async all(): Promise<ImageRow[]> {
    await Promise.all(this.#list.images.map((image) => this.look(image)));
    this.rank();
    return this.#list.images.map((image) => this.known(image));
  }

  /** Looks at one image. */
  async one(image: StudioImage): Promise<ImageRow> {
    await this.look(image);
    this.rank();
    return this.known(image);
  }

  /** Keeps what is to be said of an image by itself; its rank among the others is left as it is. */
  async look(image: StudioImage): Promise<void> {
    this.#own.set(image.id, await this.#look(image));
  }

  /** Ranks the images that were looked at. Returns the ids of those to correct, the next one first. */
  rank(): number[] {
    const open = [...this.#own.values()].filter(({ row }) => row.state !== "corrected");
    this.#ranks = ranks(open.map(({ row, predicted }) => ({ ...row, predicted })));
    return [...this.#ranks.keys()];
  }

  /** The row of an image, as it was when it was looked at and when all were ranked. */
  known({ id }: StudioImage): ImageRow {
    const { row } = this.#own.get(id) as Own;
    return { ...row, next: this.#ranks.get(id) ?? null };
  }

  /** The images that are marked as done. */
  get corrected(): StudioImage[] {
    return this.#list.images.filter((image) => this.#isDone(image));
  }

  #isDone({ name }: StudioImage): boolean {
    return existsSync(this.#folder.labels(name).correction);
  }

  /** Whether the file of a correction is older than the last edit. */
  async isOutdated({ name }: StudioImage): Promise<boolean> {
    const { correction, journal } = this.#folder.labels(name);
    const [file, edits] = await Promise.all([correction, journal].map((path) => stat(path).catch(() => null)));
    return Boolean(file && edits && edits.mtimeMs > file.mtimeMs);
  }

  async #look(image: StudioImage): Promise<Own> {
    const { id, file, name } = image;
    const facts = this.#list.facts(image);
    const known = facts && "width" in facts ? facts : { width: null, height: null, channels: null };
    const prediction = (await this.#models.predictions?.facts(name)) ?? null;
    const state = this.#state(image, prediction !== null);
    const labels = this.#workspace.openLabels(id);
    const done = state === "corrected";
    const agreement = this.#scores.known(`${id} models`);
    const row: Own["row"] = {
      ...{ id, name: file, ...known },
      problem: facts && "problem" in facts ? facts.problem : null,
      state,
      split: done ? this.#folder.side(name) : null,
      cells: labels?.map.count ?? (state === "predicted" ? (prediction?.cells ?? null) : null),
      score: prediction && meanScore(prediction),
      f1: done ? (this.#scores.known(`${id} f1`)?.f1 ?? null) : null,
      f1Before: done ? (this.#scores.known(`${id} before`)?.f1 ?? null) : null,
      disagreement: agreement && 1 - agreement.ap,
    };
    return { row, predicted: prediction !== null };
  }

  #state(image: StudioImage, predicted: boolean): ImageRow["state"] {
    if (this.#isDone(image)) return "corrected";
    if (existsSync(this.#folder.labels(image.name).journal)) return "edited";
    if (image.mask) return "own";
    return predicted ? "predicted" : "none";
  }

  /** Measures what has changed since the last time. Returns whether the row has other scores now. */
  async measure(image: StudioImage): Promise<boolean> {
    const facts = this.#list.facts(image);
    if (!facts || !("width" in facts)) return false;
    const correction = await this.#correction(image, facts);
    const [now, before] = await Promise.all([
      this.#version(this.#models.predictions, this.#models.current.run, image, facts),
      this.#version(this.#models.predictionsBefore, this.#models.previous?.run ?? "", image, facts),
    ]);
    const pairs: [string, Version | null, Version | null][] = [
      ["f1", correction, now],
      ["before", correction, before],
      ["models", before, now],
    ];
    let changed = false;
    for (const [what, truth, prediction] of pairs) {
      const key = `${image.id} ${what}`;
      const size = [facts.height, facts.width] as const;
      if (truth && prediction) changed = (await this.#scores.measure(key, size, truth, prediction)) || changed;
      else this.#scores.forget(key);
    }
    return changed;
  }

  async #correction({ name }: StudioImage, size: { width: number; height: number }): Promise<Version | null> {
    const path = this.#folder.labels(name).correction;
    const found = await stat(path).catch(() => null);
    return found && { key: `correction ${found.mtimeMs}`, labels: () => readLabelFile(path, size) };
  }

  async #version(
    predictions: Predictions | null,
    run: string,
    { name }: StudioImage,
    size: { width: number; height: number },
  ): Promise<Version | null> {
    const facts = await predictions?.facts(name);
    if (!predictions || !facts) return null;
    return { key: `${run} ${predictions.made(name)}`, labels: () => predictions.labels(name, size) };
  }
}
