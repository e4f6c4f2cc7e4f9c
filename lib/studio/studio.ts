/** Everything that studio knows of one folder of images, and what it does with it. */
import { availableParallelism } from "node:os";
import { basename, join, resolve } from "node:path";
import { type PredictInput, predictConfig } from "../config/inference.js";
import { CellsamError, failureOf } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { checkOutputFolder } from "../files/outputPath.js";
import { inOrder } from "../inOrder.js";
import { takeLock } from "../train/lock.js";
import { packageVersion } from "../version.js";
import type { Job, PredictBody, State, TrainBody } from "./api.js";
import { Events } from "./events.js";
import { defaultRun, StudioFolder, splitRule } from "./folder.js";
import { ImageList, type StudioImage } from "./imageList.js";
import { Jobs, type Work } from "./jobs.js";
import { memoryOf } from "./memory.js";
import { Models, type OpenStudioModel } from "./models.js";
import { nextRule } from "./next.js";
import { RowFeed } from "./rowFeed.js";
import { Rows } from "./rows.js";
import { Runs } from "./runs.js";
import { configFlags, Trainer } from "./trainer.js";
import { planTraining, presetEpochs } from "./trainingData.js";
import { Workspace } from "./workspace.js";

export interface StudioOptions {
  /** Folder of images. */
  data: string;
  /** The user's masks: read, never written. */
  masks: string | null;
  /** Folder of all that is written. */
  out: string;
  /** The model to begin with, and how images are read. */
  settings: PredictInput;
  openModel: OpenStudioModel;
}

export class Studio {
  readonly events = new Events();
  readonly jobs = new Jobs((job) => this.events.emit("job", job));
  readonly list: ImageList;
  readonly models: Models;
  readonly workspace: Workspace;
  readonly rows: Rows;
  readonly runs: Runs;
  readonly #folder: StudioFolder;
  readonly #options: StudioOptions;
  readonly #trainer: Trainer;
  readonly #feed: RowFeed;
  readonly #unlock: () => Promise<void>;
  #closed = false;

  private constructor(options: StudioOptions, folder: StudioFolder, list: ImageList, unlock: () => Promise<void>) {
    this.#options = options;
    this.#folder = folder;
    this.#unlock = unlock;
    this.list = list;
    this.models = new Models(folder, options.settings, options.openModel);
    this.runs = new Runs(folder.runs, this.events);
    this.#trainer = new Trainer(this.runs);
    const changed = (image: StudioImage) => this.#feed.changed(image);
    this.workspace = new Workspace({ folder, list, models: this.models, events: this.events, changed });
    this.rows = new Rows(folder, list, this.models, this.workspace);
    this.#feed = new RowFeed(this.rows, this.events);
  }

  /**
   * Opens a folder of images; everything else is read in the background, see `begin`.
   * @throws CellsamError ERR_NO_DATA or ERR_PATH without images, ERR_LOCKED while another studio writes to `out`, ERR_CONFIG
   */
  static async open(options: StudioOptions): Promise<Studio> {
    const list = await ImageList.of(options.data, options.masks, predictConfig(options.settings));
    await checkOutputFolder("out", options.out);
    await makeFolder(options.out);
    const lock = join(resolve(options.out), ".studio.lock");
    const unlock = await takeLock(lock, (owner) => {
      const who = owner ? `process ${owner.pid} on ${owner.host}` : "another process";
      const message = `out: ${options.out} is open in the studio of ${who}; close it, or choose another folder with --out`;
      return new CellsamError("ERR_LOCKED", message, { detail: { path: lock } });
    });
    try {
      const studio = new Studio(options, await StudioFolder.open(options.out), list, unlock);
      await studio.models.restore();
      return studio;
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /** Opens the model, reads every image once for its size, and measures what there is, until `close`. */
  async begin(): Promise<void> {
    this.runs.watch();
    void this.models.open().catch(() => undefined); // the state says why
    for (const image of this.list.images) {
      if (this.#closed) return;
      await this.list.read(image).catch(() => undefined); // the row says why
      await this.#finishCorrection(image).catch(() => undefined);
      this.#feed.changed(image);
    }
  }

  /** Writes the labels of a corrected image that a killed server had not written to their file. */
  async #finishCorrection(image: StudioImage): Promise<void> {
    if (await this.rows.isOutdated(image)) await (await this.workspace.labels(image.id)).save();
  }

  async state(): Promise<State> {
    return {
      version: packageVersion,
      mode: "studio",
      data: basename(resolve(this.#options.data)),
      out: this.#options.out,
      model: this.models.current,
      before: this.models.previous,
      modelError: this.models.error,
      threads: this.#threads,
      images: this.list.images.length,
      corrected: this.rows.corrected.length,
      presets: presetEpochs(),
      nextRule,
      splitRule,
      jobs: this.jobs.list(),
      memory: await memoryOf(this.#trainer.pid),
    };
  }

  /** Of the process that trains, if there is one. */
  get trainingPid(): number | null {
    return this.#trainer.pid;
  }

  get #threads(): number {
    return this.#options.settings.threads || availableParallelism();
  }

  /** Predicts images with the present model. @throws CellsamError ERR_NOT_FOUND */
  async predict({ images }: PredictBody): Promise<Job> {
    const corrected = new Set(this.rows.corrected);
    const chosen =
      images === "all"
        ? this.list.images
        : images === "uncorrected"
          ? this.list.images.filter((image) => !corrected.has(image))
          : [...new Set(images)].map((id) => this.list.get(id));
    const title = `Predict ${chosen.length} ${chosen.length === 1 ? "image" : "images"}`;
    return this.jobs.start({ kind: "predict", title, total: chosen.length }, this.#predicting(chosen));
  }

  #predicting(images: readonly StudioImage[]): Work {
    return async (progress, signal) => {
      const { predictions } = this.models;
      if (!predictions)
        throw new CellsamError(
          "ERR_CONFIG",
          "there is no model: choose one that a run has trained, or start studio with --model",
        );
      const model = await this.models.openBeside();
      const failures: string[] = [];
      let done = 0;
      const one = async (image: StudioImage, _: number, stop: AbortSignal) => {
        const read = await this.list.read(image).catch((error: unknown) => {
          failures.push(failureOf(error).message);
        });
        if (read) await predictions.write(image.name, await model.predict(read, stop));
        return image;
      };
      try {
        const left = () => new Error("left");
        for await (const image of inOrder(images, { atOnce: model.concurrency, work: one, left, signal })) {
          await this.workspace.predicted(image);
          progress({ done: ++done, message: failures.length > 0 ? failures.join("\n") : null });
        }
      } finally {
        await model.dispose();
      }
    };
  }

  /** Trains on the corrected images. @throws CellsamError ERR_SPLIT, ERR_OUTPUT_EXISTS, ERR_CONFIG */
  async train(body: TrainBody): Promise<Job> {
    await this.workspace.saveAll();
    const run = body.from === "default" ? defaultRun : this.models.current.run;
    const settings = await this.models.settingsOf(run);
    const threads = Math.max(1, this.#threads - 1);
    const plan = await planTraining({ folder: this.#folder, images: this.rows.corrected, settings, threads }, body);
    return this.#training(plan.name, plan.epochs, ["--config", plan.config], false);
  }

  /** Goes on with a run. @throws CellsamError ERR_NOT_FOUND, ERR_STATE for one that is being trained */
  async resume(name: string): Promise<Job> {
    const row = await (await this.runs.get(name)).row();
    if (row.state === "running") throw new CellsamError("ERR_STATE", `${name} is being trained`);
    return this.#training(name, row.total, configFlags(this.#folder, name), true);
  }

  #training(run: string, total: number, flags: string[], resume: boolean): Job {
    return this.jobs.start({ kind: "train", title: `Train ${run}`, total, run }, this.#trainer.work(run, flags, resume));
  }

  /** Takes another model. @throws CellsamError ERR_NOT_FOUND, ERR_CONFIG, and those of opening a model */
  async useModel(run: string): Promise<void> {
    if (run !== defaultRun) await this.runs.get(run);
    await this.models.use(run);
    this.events.emit("model", { model: this.models.current, before: this.models.previous });
    await this.workspace.modelChanged();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.jobs.close();
    await this.runs.close();
    await this.#feed.close();
    await this.workspace.close();
    await this.models.close();
    this.events.close();
    await this.#unlock();
  }
}
