/**
 * An engine for runner tests: its "model" is one number that every step changes, so that a single lost, repeated or reordered
 * step, epoch, load or transfer changes everything after it. It can die at any command, as a killed process does.
 */
import { createHash } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { LabelMap } from "../../lib/data/image.js";
import type {
  LoadReport,
  openSession,
  Session,
  SessionOptions,
  StageOptions,
  TrainEpochOptions,
} from "../../lib/engine/session.js";
import type { openStoreWriter } from "../../lib/engine/storeWriter.js";

export class Killed extends Error {}

export class FakeEngine {
  /** Commands of all sessions, in order. */
  readonly calls: string[] = [];
  readonly stages: StageOptions[] = [];
  readonly observed: number[] = [];
  readonly transfers: unknown[] = [];
  /** The number of the command that the process does not survive. */
  dieAt = Number.POSITIVE_INFINITY;
  /** Called after each step. */
  onStep: (stage: number, epoch: number, step: number) => void = () => undefined;
  /** Called before validation. */
  onValidate: (stage: number, epoch: number, fold: number) => void = () => undefined;
  valLoss: ((stage: number, epoch: number) => number) | undefined;
  openSessions = 0;
  /** Replaces parts of what `load` reports. */
  loadReport: Partial<LoadReport> = {};

  /** Every command passes here. Dying halfway: the effect of the command may or may not be on disk. */
  record(name: string): void {
    if (this.calls.length >= this.dieAt) throw new Killed(name);
    this.calls.push(name);
  }

  readonly openSession = (async (options: SessionOptions) => {
    this.record("open");
    this.openSessions += 1;
    return new FakeSession(this, options.seed ?? 0) as unknown as Session;
  }) as typeof openSession;

  readonly openStoreWriter = (async ({ path }: { path: string }) => {
    let tiles = 0;
    return {
      add: async ({ labels }: { labels: LabelMap }) => {
        this.record("add");
        tiles += 2;
        return { tiles: 2, first: tiles - 2, instances: new Set(labels.data.filter((id) => id > 0)).size };
      },
      finish: async () => {
        this.record("finish");
        await writeFile(path, "tiles");
        return { tiles, images: tiles / 2, bytes: 5, path };
      },
      dispose: async () => undefined,
    };
  }) as unknown as typeof openStoreWriter;
}

/** A number in [0, 1) that depends on everything in `parts`. */
function noise(...parts: (number | string)[]): number {
  return createHash("sha256").update(parts.join()).digest().readUInt32LE() / 2 ** 32;
}

/** What no run asks a session for. */
type Unused =
  | "digest"
  | "parameters"
  | "setLossWeights"
  | "embed"
  | "disposed"
  | typeof Symbol.dispose
  | typeof Symbol.asyncDispose;

interface State {
  weight: number;
  momentum: number;
  sum: number;
}

class FakeSession implements Omit<Session, Unused> {
  readonly concurrency = 1;
  #engine: FakeEngine;
  #state: State;
  #stage = 0;
  #epoch = 0;
  /** From 1. */
  #fold = 1;

  constructor(engine: FakeEngine, seed: number) {
    this.#engine = engine;
    this.#state = { weight: 10 + noise(seed), momentum: 0, sum: 0 };
  }

  async load(path: string): Promise<LoadReport> {
    this.#engine.record(`load ${basename(path)}`);
    this.#state.weight = JSON.parse(await readFile(path, "utf8")).weight;
    return {
      layout: "plain",
      generation: "plain",
      loaded: 1,
      missing: [],
      unexpected: [],
      mismatched: [],
      warnings: [],
      ...this.#engine.loadReport,
    };
  }

  async save(path: string) {
    this.#engine.record("save");
    const text = JSON.stringify({ weight: this.#state.weight });
    await writeFile(`${path}.t`, text);
    await rename(`${path}.t`, path);
    return { path, bytes: text.length, sha256: createHash("sha256").update(text).digest("hex"), tensors: 1 };
  }

  async beginStage(options: StageOptions) {
    this.#engine.record(`begin ${options.stage}`);
    this.#engine.stages.push(options);
    this.#stage = options.stage;
    this.#state.momentum = 0;
    return { options: [], trainable: ["weight"], parameters: 1, groups: [{ name: "all", lr: 1, parameters: 1 }] };
  }

  async trainEpoch({ indices, fold = 1, epoch, startStep = 0, batchSize, signal, onStep }: TrainEpochOptions) {
    this.#engine.record(`train ${this.#stage}.${epoch} from ${startStep}`);
    const steps = Math.ceil(indices.length / batchSize);
    const state = this.#state;
    if (startStep === 0) state.sum = 0;
    this.#epoch = epoch;
    this.#fold = fold;
    let step = startStep;
    const report = (stopped: boolean) => ({
      stopped,
      step,
      steps,
      images: step,
      seconds: 1,
      lr: 1,
      threads: 1,
      losses: { total_loss: state.sum / steps },
      features: { kept: 0, computed: 0 },
      graphs: { recorded: 0, replayed: 0 },
    });
    for (; step < steps; step++) {
      await new Promise(setImmediate);
      if (signal?.aborted) return report(true);
      state.momentum = 0.5 * state.momentum + noise(this.#stage, epoch, step, ...indices);
      state.weight = 0.97 * state.weight - 0.01 * state.momentum;
      state.sum += state.weight;
      const losses = { total_loss: state.weight };
      onStep?.({
        type: "step",
        stage: this.#stage as 1 | 2,
        epoch,
        step: step + 1,
        steps,
        images: step + 1,
        imagesPerSecond: 1,
        lr: 1,
        gradNorm: 1,
        losses,
      });
      this.#engine.onStep(this.#stage, epoch, step + 1);
    }
    return report(false);
  }

  async validate({ signal }: { signal?: AbortSignal }) {
    this.#engine.record(`validate ${this.#stage}.${this.#epoch}`);
    this.#engine.onValidate(this.#stage, this.#epoch, this.#fold);
    signal?.throwIfAborted();
    // Noisy enough that the last epoch is not always the best.
    const own = Math.abs(this.#state.weight) * (0.2 + noise("val", this.#stage, this.#epoch));
    const losses = { total_loss: this.#engine.valLoss?.(this.#stage, this.#epoch) ?? own };
    return { losses, images: 1, seconds: 1, features: { kept: 0, computed: 0 } };
  }

  async observe(loss: number) {
    this.#engine.record("observe");
    this.#engine.observed.push(loss);
    return { lr: 1 };
  }

  async saveState(path: string) {
    this.#engine.record("saveState");
    const text = JSON.stringify(this.#state);
    await writeFile(path, text);
    return { path, bytes: text.length, sha256: createHash("sha256").update(text).digest("hex") };
  }

  async loadState(path: string) {
    this.#engine.record("loadState");
    this.#state = JSON.parse(await readFile(path, "utf8"));
    return { stage: 1 as const, epoch: 0, step: 0 };
  }

  async endStage() {
    this.#engine.record("end");
  }

  async predict({ image, signal }: { image: { shape: number[] }; signal?: AbortSignal }) {
    signal?.throwIfAborted();
    this.#engine.record("predict");
    const [height = 0, width = 0] = image.shape;
    const none = (shape: number[]) => ({ data: new Float64Array(0), shape });
    const labels = { data: new Int32Array(height * width), shape: [height, width] };
    return { labels, scores: none([0]), boxes: none([0, 4]), ious: none([0]), count: 0, prompt: new Int32Array(0) };
  }

  async candidates({ image, signal }: { image: { shape: number[] }; signal?: AbortSignal }) {
    signal?.throwIfAborted();
    this.#engine.record("candidates");
    const [height = 0, width = 0] = image.shape;
    const ints = (shape: number[], values: number[] = []) => ({ data: Int32Array.from(values), shape });
    const reals = (shape: number[], values: number[] = []) => ({ data: Float64Array.from(values), shape });
    return {
      height,
      width,
      tiles: ints([1, 4], [0, 0, width, height]),
      thresholds: reals([1], [0.4]),
      floors: reals([1], [0.01]),
      tile: ints([0]),
      scores: reals([0]),
      ious: reals([0]),
      boxes: reals([0, 4]),
      runCounts: ints([0]),
      runs: ints([0, 3]),
    };
  }

  async transferWeights(to = "image_encoder") {
    this.#engine.record("transfer_weights");
    this.#engine.transfers.push(to);
    this.#state.weight = Math.floor(this.#state.weight) + 0.25; // a copy: done twice it changes nothing more
  }

  async promptIou() {
    this.#engine.record("prompt_iou");
    return { ious: { data: Float64Array.of(this.#state.weight), shape: [1] }, ids: { data: Int32Array.of(1), shape: [1] } };
  }

  async dispose() {
    this.#engine.openSessions -= 1;
  }
}
