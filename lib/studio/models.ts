/** The model in use, the one before it, and what both predict. */
import { basename } from "node:path";
import { type PredictInput, predictConfig } from "../config/inference.js";
import { weightsFile } from "../config/shippedWeights.js";
import type { NdImage } from "../data/image.js";
import type { Prediction } from "../engine/session.js";
import { CellsamError, failureOf } from "../errors.js";
import { trainedConfig } from "../predict/trained.js";
import type { Model, Proposal, SegmentBody } from "./api.js";
import { Cache } from "./cache.js";
import { defaultRun, type StudioFolder } from "./folder.js";
import { Predictions } from "./predictions.js";

/** Images that stay embedded. */
const keptViews = 2;

/** An image that stays in the network's memory, so that a click is answered at once. */
export interface PromptView {
  segment(prompt: SegmentBody): Promise<Proposal>;
  dispose(): Promise<void>;
}

/** What studio asks of a model. */
export interface StudioModel {
  /** How many images it works on at the same time. */
  readonly concurrency: number;
  predict(image: NdImage, signal: AbortSignal): Promise<Prediction>;
  view(image: NdImage): Promise<PromptView>;
  dispose(): Promise<void>;
}

/** Opens a model. "low" leaves the cores to clicks. */
export type OpenStudioModel = (settings: PredictInput, priority: "normal" | "low") => Promise<StudioModel>;

interface Opened {
  model: StudioModel;
  views: Cache<PromptView>;
}

export class Models {
  readonly #folder: StudioFolder;
  readonly #settings: PredictInput;
  readonly #open: OpenStudioModel;
  #opened: Promise<Opened> | null = null;
  #predictions: Predictions | null = null;
  #before: Predictions | null = null;
  #error: string | null = null;

  /** `settings` are those of the model that the server was started with. */
  constructor(folder: StudioFolder, settings: PredictInput, open: OpenStudioModel) {
    this.#folder = folder;
    this.#settings = settings;
    this.#open = open;
  }

  get current(): Model {
    return this.#named(this.#folder.model);
  }

  get previous(): Model | null {
    const { before } = this.#folder;
    return before === null ? null : this.#named(before);
  }

  #named(run: string): Model {
    return { run, label: run === defaultRun ? basename(this.#settings.weights ?? run) : run };
  }

  /** Why the model could not be opened; null where it was, or is not needed yet. */
  get error(): string | null {
    return this.#error;
  }

  /** Of the present model; null where its weights are missing. */
  get predictions(): Predictions | null {
    return this.#predictions;
  }

  /** Of the model before it. */
  get predictionsBefore(): Predictions | null {
    return this.#before;
  }

  /** Finds what was predicted before the server was started. A model whose run is gone is given up for the default one. */
  async restore(): Promise<void> {
    const { model, before } = this.#folder;
    const usable = async (run: string) => {
      const predictions = await this.#predictionsOf(run).catch(() => null);
      return predictions && { run, predictions };
    };
    const current = (await usable(model)) ?? (model === defaultRun ? null : await usable(defaultRun));
    const previous = before === null ? null : await usable(before);
    this.#predictions = current?.predictions ?? null;
    this.#before = previous?.predictions ?? null;
    await this.#folder.setModel(current?.run ?? defaultRun, previous?.run ?? null);
  }

  async #predictionsOf(run: string): Promise<Predictions> {
    const { weights } = predictConfig(await this.settingsOf(run));
    if (!weights) throw new CellsamError("ERR_CONFIG", "studio needs the weights of a model: --model cellsam-tiny, or a file");
    return Predictions.open(this.#folder.predictions(run), weightsFile(weights));
  }

  /** The settings to predict with the model of a run. @throws CellsamError ERR_CONFIG where it has none */
  async settingsOf(run: string): Promise<PredictInput> {
    if (run === defaultRun) return this.#settings;
    const { device, threads, precision } = this.#settings;
    const given = Object.entries({ device, threads, precision }).filter(([, value]) => value !== undefined);
    return { ...(await trainedConfig(this.#folder.run(run))), ...Object.fromEntries(given) };
  }

  /**
   * Takes the model of a run, or the default one; the present one becomes the one before. A model that cannot be opened changes
   * nothing.
   * @throws CellsamError ERR_CONFIG, and those of opening a model
   */
  async use(run: string): Promise<void> {
    const predictions = await this.#predictionsOf(run);
    const opened = await this.#start(await this.settingsOf(run));
    const old = this.#opened;
    this.#opened = Promise.resolve(opened);
    this.#error = null;
    if (run !== this.#folder.model) {
      this.#before = this.#predictions;
      await this.#folder.setModel(run, this.#folder.model);
    }
    this.#predictions = predictions;
    await close(old);
  }

  async #start(settings: PredictInput): Promise<Opened> {
    const model = await this.#open(settings, "normal");
    const views = new Cache<PromptView>(keptViews, { dispose: (view) => view.dispose() });
    return { model, views };
  }

  /** Opens the model, if it is not open yet. @throws CellsamError as opening a model */
  open(): Promise<Opened> {
    this.#opened ??= this.settingsOf(this.#folder.model).then(async (settings) => {
      try {
        const opened = await this.#start(settings);
        this.#error = null;
        return opened;
      } catch (error) {
        this.#error = failureOf(error).message;
        this.#opened = null; // the next one tries again
        throw error;
      }
    });
    return this.#opened;
  }

  /** The present model once more, beside the one that answers clicks. To be disposed of. */
  async openBeside(): Promise<StudioModel> {
    return this.#open(await this.settingsOf(this.#folder.model), "low");
  }

  /** The cell that a prompt shows. */
  async segment(image: number, pixels: () => Promise<NdImage>, prompt: SegmentBody): Promise<Proposal> {
    const { model, views } = await this.open();
    const view = await views.get(String(image), async () => ({ value: await model.view(await pixels()), bytes: 1 }));
    return view.segment(prompt);
  }

  async close(): Promise<void> {
    await close(this.#opened);
  }
}

async function close(opened: Promise<Opened> | null): Promise<void> {
  const held = await opened?.catch(() => null);
  if (!held) return;
  await Promise.all(held.views.values().map((view) => view.dispose()));
  await held.model.dispose();
}
