/** The images that are open: pixels, labels and predictions of those that were used last. */
import { rm } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname } from "node:path";
import type { z } from "zod";
import type { NdImage } from "../data/image.js";
import { CellsamError } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { linkOrCopy } from "../files/linkOrCopy.js";
import type { EditAnswer, editBodySchema, ImageView, Layer } from "./api.js";
import { Cache } from "./cache.js";
import type { Replacement } from "./edits.js";
import type { Events } from "./events.js";
import type { StudioFolder } from "./folder.js";
import type { ImageList, StudioImage } from "./imageList.js";
import { readLabelFile } from "./labelFile.js";
import { LabelMap } from "./labelMap.js";
import { ImageLabels, type Start } from "./labels.js";
import type { Models } from "./models.js";
import type { Predictions } from "./predictions.js";
import { channelFacts, Pyramid } from "./pyramid.js";

/** Pixels, labels and predictions may take this much each. */
const cacheBytes = Math.min(2 ** 30, totalmem() / 10);
/** Labels are written to their file so long after the last edit. */
const quietMs = 2000;

export interface OpenPixels {
  image: NdImage;
  pyramid: Pyramid;
  channels: ImageView["channels"];
}

export interface WorkspaceParts {
  folder: StudioFolder;
  list: ImageList;
  models: Models;
  events: Events;
  /** Called when the state of an image has changed, or the file of its labels. */
  changed: (image: StudioImage) => void;
}

export class Workspace {
  readonly #parts: WorkspaceParts;
  readonly #pixels = new Cache<OpenPixels>(cacheBytes);
  readonly #labels = new Cache<ImageLabels>(cacheBytes, {
    prepare: (labels) => labels.save(),
    mayGo: (labels) => !labels.busy,
    dispose: (labels) => labels.close(),
  });
  readonly #layers = new Cache<LabelMap>(cacheBytes);
  readonly #timers = new Map<number, NodeJS.Timeout>();

  constructor(parts: WorkspaceParts) {
    this.#parts = parts;
  }

  /** @throws CellsamError ERR_NOT_FOUND, and as decodeImage */
  pixels(id: number): Promise<OpenPixels> {
    const image = this.#parts.list.get(id);
    return this.#pixels.get(String(id), async () => {
      const read = await this.#parts.list.read(image);
      const pyramid = new Pyramid(read);
      return { value: { image: read, pyramid, channels: channelFacts(read) }, bytes: pyramid.bytes };
    });
  }

  /** Height and width, for which the image is read once. */
  async #size(image: StudioImage): Promise<{ width: number; height: number }> {
    const facts = this.#parts.list.facts(image);
    if (facts && "width" in facts) return facts;
    const { width, height } = sizeOf((await this.pixels(image.id)).image);
    return { width, height };
  }

  /** @throws CellsamError ERR_NOT_FOUND, ERR_FILE, and as decodeImage and decodeLabels */
  labels(id: number): Promise<ImageLabels> {
    const image = this.#parts.list.get(id);
    return this.#labels.get(String(id), async () => {
      const size = await this.#size(image);
      const files = this.#parts.folder.labels(image.name);
      const value = await ImageLabels.open(files, size, () => this.#start(image, size));
      return { value, bytes: 4 * size.width * size.height };
    });
  }

  /** The labels of an image that is open. */
  openLabels(id: number): ImageLabels | undefined {
    return this.#labels.peek(String(id));
  }

  /**
   * The user's masks, or else what the present model has predicted. The file of a prediction becomes that of the base at once,
   * as a second name: to write it at the first edit would take seconds for a large image.
   */
  async #start(image: StudioImage, size: { width: number; height: number }): Promise<Start> {
    const own = await this.#parts.list.ownMasks(image, size);
    if (own) return { base: "own", labels: own, scores: new Map(), saved: false };
    const { predictions } = this.#parts.models;
    const facts = await predictions?.facts(image.name);
    if (!facts || !predictions) return { base: "empty", labels: null, scores: new Map(), saved: false };
    const { base } = this.#parts.folder.labels(image.name);
    await makeFolder(dirname(base));
    await rm(base, { force: true });
    await linkOrCopy(predictions.file(image.name), base);
    const scores = new Map(facts.scores.map((score, i) => [i + 1, score]));
    return { base: "prediction", labels: await readLabelFile(base, size), scores, saved: true };
  }

  /** A map that is not edited. @throws CellsamError ERR_NOT_FOUND where there is no such prediction, and as `labels` */
  async layer(id: number, which: Exclude<Layer, "labels">): Promise<LabelMap> {
    const image = this.#parts.list.get(id);
    const predictions = this.#predictionsOf(which);
    const facts = await predictions?.facts(image.name);
    if (!predictions || !facts) {
      const model = which === "prediction" ? "the present model" : "the model before";
      throw new CellsamError("ERR_NOT_FOUND", `${image.file} has no prediction of ${model}`);
    }
    return this.#layers.get(`${id} ${which}`, async () => {
      const { width, height } = await this.#size(image);
      const ids = await predictions.labels(image.name, { width, height });
      const note = (cell: number) => ({ score: facts.scores[cell - 1] ?? null, state: "predicted" as const });
      return { value: new LabelMap(ids, height, width, note), bytes: ids.byteLength };
    });
  }

  #predictionsOf(which: Exclude<Layer, "labels">): Predictions | null {
    const { models } = this.#parts;
    return which === "prediction" ? models.predictions : models.predictionsBefore;
  }

  /** Makes an edit, and tells every page. @throws CellsamError ERR_CONFLICT, ERR_INVALID_ARGUMENT, ERR_FILE */
  async edit(id: number, { revision, edit, client }: z.output<typeof editBodySchema>): Promise<EditAnswer> {
    const labels = await this.labels(id);
    const replacement = edit.kind === "take-own-masks" || edit.kind === "take-prediction";
    const answer = await labels.edit(revision, edit, replacement ? () => this.#replacement(id, edit) : undefined);
    if (answer.revision === revision) return answer;
    this.#parts.events.emit("labels", { image: id, revision: answer.revision, bounds: answer.bounds, by: client ?? null });
    // The list says how many cells there are, and whether there are edits.
    this.#parts.changed(this.#parts.list.get(id));
    this.#saveSoon(id);
    return answer;
  }

  async #replacement(
    id: number,
    edit: { kind: "take-own-masks" } | { kind: "take-prediction"; which: "prediction" | "before" },
  ): Promise<Replacement> {
    if (edit.kind === "take-prediction") {
      const map = await this.layer(id, edit.which);
      return { labels: map.data, note: (cell) => map.note(cell) ?? { score: null, state: "predicted" } };
    }
    const image = this.#parts.list.get(id);
    const labels = await this.#parts.list.ownMasks(image, await this.#size(image));
    if (!labels) throw new CellsamError("ERR_NOT_FOUND", `there are no masks of ${image.file} to take`);
    return { labels, note: () => ({ score: null, state: "own" }) };
  }

  /** Marks an image as corrected, or takes that back. @throws CellsamError ERR_FILE */
  async setDone(id: number, done: boolean): Promise<void> {
    const image = this.#parts.list.get(id);
    await (await this.labels(id)).setDone(done);
    if (done) await this.#parts.folder.decideSide(image.name);
    this.#parts.changed(image);
  }

  /** A new prediction: it is what labels that nobody has edited begin with. */
  async predicted(image: StudioImage): Promise<void> {
    this.#layers.drop((key) => key === `${image.id} prediction`);
    await this.#restart(image);
    this.#parts.changed(image);
  }

  /** Another model: its predictions take the place of those of the one before, in all images that are open. */
  async modelChanged(): Promise<void> {
    this.#layers.drop();
    for (const image of this.#parts.list.images) {
      await this.#restart(image);
      this.#parts.changed(image);
    }
  }

  async #restart(image: StudioImage): Promise<void> {
    const labels = this.openLabels(image.id);
    if (!labels || labels.edited || image.mask) return;
    const { width, height } = labels.map;
    if (!(await labels.restart(() => this.#start(image, { width, height })))) return;
    const bounds: [number, number, number, number] = [0, 0, width, height];
    this.#parts.events.emit("labels", { image: image.id, revision: labels.revision, bounds, by: null });
  }

  #saveSoon(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.set(id, setTimeout(() => void this.#save(id), quietMs).unref());
  }

  /** A file that cannot be written is tried again at the next edit, and at the end: the journal has everything. */
  async #save(id: number): Promise<void> {
    this.#timers.delete(id);
    const whole = await this.openLabels(id)
      ?.save()
      .catch(() => true);
    if (whole) this.#parts.changed(this.#parts.list.get(id));
    else this.#saveSoon(id);
  }

  /** Writes all labels that are not in their files yet. @throws CellsamError ERR_FILE */
  async saveAll(): Promise<void> {
    for (const labels of this.#labels.values()) while (!(await labels.save()));
  }

  async close(): Promise<void> {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await this.saveAll();
    await Promise.all(this.#labels.drop().map((labels) => labels.close()));
  }
}

function sizeOf({ shape: [height, width] }: NdImage): { width: number; height: number } {
  return { width, height };
}
