/**
 * The typed interface of the engine's model sessions. A session is one model with its optimiser; its commands start in
 * the order in which they were sent, on threads of its own (see `concurrency`), and never block the event loop.
 */
import type { NoticeEvent, StepEvent } from "../events.js";
import type { DetectorLossName } from "../settings/losses/detector.js";
import type { MaskLossName } from "../settings/losses/table.js";
import { CommandSession } from "./commandSession.js";
import {
  type BoxPrediction,
  type Candidates,
  type ImageArray,
  type InferenceOptions,
  type Prediction,
  withPrompts,
} from "./inference.js";
import { toBorder } from "./names.js";
import { type NativeSession, type NdArray, openNative } from "./native.js";
import { type EmbedOptions, openView, type SessionView } from "./sessionView.js";

export type { BoxPrediction, Candidates, ImageArray, InferenceOptions, PixelOptions, Prediction } from "./inference.js";
export type { Detections, EmbedOptions, PromptArrays, PromptedArrays, SessionView } from "./sessionView.js";

export type Device = "cpu" | "cuda" | `cuda:${number}`;
export type Precision = "fp32" | "bf16";
/** Means over the batches that had the loss, `total_loss` and its weighted parts by name; null where no batch had it. */
export type Losses = Record<string, number | null>;

export interface SessionOptions {
  /** "vit_b", "vit_l", "vit_h" or "tiny". */
  size: string;
  /** Fields of the size table that differ from those of `size`, in camelCase. */
  overrides?: Record<string, unknown>;
  /** The preprocessing that the weights expect; see LoadReport. Default "plain". */
  generation?: "plain" | "adv";
  /** Default "cpu". */
  device?: Device;
  /** "auto", the default: "bf16" on a GPU that multiplies in it (compute capability 8.0 and above), else "fp32". */
  precision?: "auto" | Precision;
  /** How a GPU multiplies float32 numbers; "high": as TF32, with 10 bits of mantissa. Default "highest". */
  float32MatmulPrecision?: "highest" | "high";
  /** Of the random weights and of all draws. Default 42. */
  seed?: number;
  /**
   * Compute threads. 0, the default: all cores, shared equally by the commands of several sessions that run at the same time.
   */
  threads?: number;
  /** Only operations that give the same result every time. Default false. */
  deterministic?: boolean;
  /**
   * Of the threads that compute on a CPU. "low": they yield to other threads of this process, such as the event loop, and to all
   * other programs (on Linux nice 10). Default "normal".
   */
  priority?: "normal" | "low";
}

export interface LoadReport {
  /** "cellsam", "cellsam_adv" (with `model_cp`) or "sam" (a checkpoint of segment-anything). */
  layout: string;
  /** The preprocessing that the weights expect: "adv" for checkpoints with `model_cp`, else "plain". */
  generation: "plain" | "adv";
  /** Number of tensors. */
  loaded: number;
  /** Names of tensors that the model has and the file lacks. */
  missing: string[];
  /** Names of tensors that the file has and the model lacks. */
  unexpected: string[];
  /** Tensors of another shape or type than the model's, each described like "float32 [768]". */
  mismatched: { name: string; expected: string; found: string }[];
  /** Sentences about what was left out or was ambiguous. */
  warnings: string[];
}

export interface SaveReport {
  path: string;
  bytes: number;
  sha256: string;
  tensors: number;
}

export interface ParameterInfo {
  name: string;
  shape: number[];
  trainable: boolean;
}

/** A stage of training; `option` is any setting of Stage1Config or Stage2Config that the engine reads. */
export interface StageOptions {
  stage: 1 | 2;
  epochs: number;
  stepsPerEpoch: number;
  [option: string]: unknown;
}

/** Weights of the losses of a stage, by the names of its settings; absent ones stay as they are. */
export type LossWeights = Partial<Record<`${DetectorLossName | MaskLossName | "iou"}LossWeight`, number>>;

export interface StageReport {
  /** Names of all options that the stage takes, in the engine's spelling. */
  options: string[];
  trainable: string[];
  /** How many numbers they hold. */
  parameters: number;
  groups: { name: string; lr: number; parameters: number }[];
}

export interface TrainEpochOptions {
  /** Path of a store. */
  store: string;
  /** Tile numbers [n]; the engine shuffles them by seed, fold and epoch. */
  indices: Int32Array;
  /** Counted from 1; each fold has an order of its own. Default 1. */
  fold?: number;
  /** Counted from 1. */
  epoch: number;
  /** Steps of the epoch that are done already. Default 0. */
  startStep?: number;
  batchSize: number;
  /** Flips and quarter turns. */
  augment: boolean;
  /** Also affine and elastic deformation, brightness, contrast and gamma. Only with `augment`. Default false. */
  complexAugmentation?: boolean;
  /** Versions of each tile under complex augmentation; 0, the default: new ones in every epoch. */
  augmentationVariants?: number;
  signal?: AbortSignal | undefined;
  onStep?: ((event: StepEvent) => void) | undefined;
  /** Reports what the engine does differently than asked, such as smaller prompt chunks because memory is short. */
  onNotice?: ((event: NoticeEvent) => void) | undefined;
}

/** Result of `validate`. */
export interface ValidateReport {
  losses: Losses;
  /** Tiles. */
  images: number;
  seconds: number;
  /** Outputs of frozen backbones: how many were read from the cache, and how many had to be computed. */
  features: { kept: number; computed: number };
}

export interface EpochReport extends ValidateReport {
  /** True when the signal ended the epoch early; `step` is then the `startStep` with which it continues. */
  stopped: boolean;
  /** Steps done, of `steps`. */
  step: number;
  steps: number;
  /** Learning rate of the last step. */
  lr: number;
  /** Number of threads that the epoch computed with. */
  threads: number;
  /** CUDA graphs (`cudaGraphs` of stage 2): how many were recorded, and how often they were replayed. */
  graphs: { recorded: number; replayed: number };
}

export interface ValidateOptions {
  store: string;
  indices: Int32Array;
  batchSize: number;
  signal?: AbortSignal | undefined;
  onNotice?: ((event: NoticeEvent) => void) | undefined;
}

export interface SavedState {
  path: string;
  bytes: number;
  sha256: string;
}

export interface StateReport {
  stage: 1 | 2;
  epoch: number;
  step: number;
}

export interface PredictOptions extends InferenceOptions {
  /** [H,W] or [H,W,C]. */
  image: ImageArray;
  /** Prompts, xyxy in pixels, [n,4]; without them the detector finds the boxes. */
  boxes?: NdArray<Float32Array | Float64Array>;
  signal?: AbortSignal | undefined;
}

export interface CandidatesOptions extends InferenceOptions {
  /** [H,W] or [H,W,C]. */
  image: ImageArray;
  /** Smallest detection score. Default 0.01. */
  floor?: number;
  /** Per tile, best first; those above the configured threshold are always kept. Default 1000. */
  maxCandidates?: number;
  signal?: AbortSignal | undefined;
}

export interface PromptIouOptions extends InferenceOptions {
  /** [H,W] or [H,W,C]. */
  image: ImageArray;
  /** True cells [H,W], 0 is background. */
  labels: NdArray<Int32Array>;
  signal?: AbortSignal | undefined;
}

/** Row i is the cell with id `ids.data[i]`. */
export interface PromptIou {
  ids: NdArray<Int32Array>;
  ious: NdArray<Float64Array>;
}

export interface Session extends AsyncDisposable, Disposable {
  /** Loads weights (.pth, .safetensors). A file that does not fit changes nothing. @throws CellsamError ERR_CHECKPOINT_... */
  load(path: string): Promise<LoadReport>;
  /** Writes the weights. `format` defaults to "pth"; `dtype` to "fp32", "fp16" halves the size. */
  save(path: string, options?: { format?: "pth" | "safetensors"; dtype?: "fp32" | "fp16" }): Promise<SaveReport>;
  /** A hash of each tensor, 16 hex digits by name: tells whether training has changed it. */
  digest(): Promise<Record<string, string>>;
  parameters(): Promise<ParameterInfo[]>;
  /** Begins a stage with a fresh optimiser. @throws CellsamError ERR_INVALID_ARGUMENT */
  beginStage(options: StageOptions): Promise<StageReport>;
  /** Changes weights of the open stage's losses from the next epoch on. An IoU loss cannot be switched on this way. */
  setLossWeights(weights: LossWeights): Promise<void>;
  /** Trains one epoch. When the signal fires, resolves with `stopped: true` after the current group of `accumulate` batches. */
  trainEpoch(options: TrainEpochOptions): Promise<EpochReport>;
  /** Computes the losses without training or augmentation. Rejects with the signal's reason when it fires. */
  validate(options: ValidateOptions): Promise<ValidateReport>;
  /** Passes an epoch's validation loss to a plateau schedule. */
  observe(loss: number): Promise<{ lr: number }>;
  /** Saves model, optimiser and schedule, so that `loadState` continues exactly here. */
  saveState(path: string): Promise<SavedState>;
  loadState(path: string): Promise<StateReport>;
  /** Copies one backbone over the other; by default the detector's into SAM's image encoder. */
  transferWeights(to?: "image_encoder" | "cellfinder"): Promise<void>;
  endStage(): Promise<void>;
  /**
   * How many of the following commands run at the same time, if so many are sent without waiting: one for each thread with a
   * small network on a CPU, where a thread goes through an image, or a tile of it, alone; else 1. Results do not depend on it.
   */
  readonly concurrency: number;
  /** Segments one image. Rejects with the signal's reason when it fires. */
  predict(options: PredictOptions & Required<Pick<PredictOptions, "boxes">>): Promise<BoxPrediction>;
  predict(options: PredictOptions): Promise<Prediction>;
  /** All cells that some detection threshold would find, in one pass; see assemblePrediction and sweepThresholds. */
  candidates(options: CandidatesOptions): Promise<Candidates>;
  /** IoU of each cell's mask when its true box is the prompt. Rejects with the signal's reason when it fires. */
  promptIou(options: PromptIouOptions): Promise<PromptIou>;
  /** Opens an image for prompts, until the view is disposed of or a command of this session changes weights. */
  embed(options: EmbedOptions): Promise<SessionView>;
  /**
   * Stops the running command, rejects it and the queued ones with ERR_DISPOSED, and frees the model. May be called repeatedly.
   */
  dispose(): Promise<void>;
  readonly disposed: boolean;
}

/** A session of one of several processes that train a model together: each of them runs the same commands of training. */
export interface DistributedSession extends Session {
  /** Gives the weights of process 0 to the others. */
  shareWeights(): Promise<void>;
}

/**
 * Builds a model, with random weights, on a thread of its own.
 * @throws CellsamError ERR_INVALID_ARGUMENT, ERR_DEVICE_UNAVAILABLE, and those of loading libtorch
 */
export function openSession(options: SessionOptions): Promise<Session> {
  return openModelSession(options, false);
}

/** The same in every process of the group that this process has joined (lib/distributed/). */
export function openDistributed(options: SessionOptions): Promise<DistributedSession> {
  return openModelSession(options, true);
}

async function openModelSession(options: SessionOptions, distributed: boolean): Promise<ModelSession> {
  const { overrides, ...rest } = options;
  const own = { kind: "model", ...toBorder(rest), ...(overrides && { overrides: toBorder(overrides) }) };
  const native = await openNative({ ...own, ...(distributed && { distributed }) });
  try {
    return new ModelSession(native, (await native.call("concurrency", {}).promise) as number);
  } catch (error) {
    await native.dispose();
    throw error;
  }
}

class ModelSession extends CommandSession implements DistributedSession {
  readonly concurrency: number;
  /** That were opened. */
  #views = 0;

  constructor(native: NativeSession, concurrency: number) {
    super(native);
    this.concurrency = concurrency;
  }

  load(path: string): Promise<LoadReport> {
    return this.command("load", { path });
  }

  save(path: string, options: { format?: "pth" | "safetensors"; dtype?: "fp32" | "fp16" } = {}): Promise<SaveReport> {
    return this.command("save", { path, ...options });
  }

  digest(): Promise<Record<string, string>> {
    return this.command("digest");
  }

  parameters(): Promise<ParameterInfo[]> {
    return this.command("parameters");
  }

  beginStage(options: StageOptions): Promise<StageReport> {
    return this.command("begin_stage", options);
  }

  async setLossWeights(weights: LossWeights): Promise<void> {
    await this.command("set_loss_weights", weights);
  }

  trainEpoch({ signal, onStep, onNotice, fold = 1, ...options }: TrainEpochOptions): Promise<EpochReport> {
    // The engine derives its random numbers from folds counted from 0.
    const onEvent = (event: unknown) => {
      const known = event as StepEvent | NoticeEvent;
      if (known.type === "step") onStep?.(known);
      else onNotice?.(known);
    };
    return this.send("train_epoch", { ...options, fold: fold - 1 }, { signal, onEvent });
  }

  validate({ signal, onNotice, ...options }: ValidateOptions): Promise<ValidateReport> {
    return this.command("validate", options, { signal, onEvent: onNotice as ((event: unknown) => void) | undefined });
  }

  observe(loss: number): Promise<{ lr: number }> {
    return this.command("observe", { loss });
  }

  /** Saves model, optimiser and schedule, so that `loadState` continues exactly here. */
  saveState(path: string): Promise<SavedState> {
    return this.command("save_state", { path });
  }

  loadState(path: string): Promise<StateReport> {
    return this.command("load_state", { path });
  }

  async transferWeights(to: "image_encoder" | "cellfinder" = "image_encoder"): Promise<void> {
    await this.command("transfer_weights", { to });
  }

  async endStage(): Promise<void> {
    await this.command("end_stage");
  }

  async shareWeights(): Promise<void> {
    await this.command("share_weights");
  }

  predict(options: PredictOptions & Required<Pick<PredictOptions, "boxes">>): Promise<BoxPrediction>;
  predict(options: PredictOptions): Promise<Prediction>;
  async predict({ signal, ...options }: PredictOptions): Promise<Prediction> {
    const prediction = await this.ofImage<Prediction>("predict", options, signal);
    return options.boxes ? withPrompts(prediction, options.boxes) : prediction;
  }

  candidates({ signal, ...options }: CandidatesOptions): Promise<Candidates> {
    return this.ofImage("candidates", options, signal);
  }

  promptIou({ signal, ...options }: PromptIouOptions): Promise<PromptIou> {
    return this.ofImage("prompt_iou", options, signal);
  }

  embed(options: EmbedOptions): Promise<SessionView> {
    const ofImage = <T>(name: string, args: object, signal?: AbortSignal) => this.ofImage<T>(name, args, signal);
    const release = (view: number) => this.command<void>("release", { view });
    return openView({ ofImage, release }, this.#views++, options);
  }

  private ofImage<T>(name: string, options: object, signal: AbortSignal | undefined): Promise<T> {
    return this.command<T>(name, { ...options }, { signal, atOnce: this.concurrency });
  }
}
