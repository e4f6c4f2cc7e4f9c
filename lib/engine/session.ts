/**
 * The typed face of the engine's sessions: one model with its optimiser. Commands of a session run one after another on its own
 * thread and never block the event loop. Names are camelCase here and snake_case at the border; the mapping is in names.ts.
 */

import type { NoticeEvent, StepEvent } from "../events.js";
import type { inference, pixels } from "../settings/groups.js";
import type { Values } from "../settings/kinds.js";
import type { DetectorLossName } from "../settings/losses/detector.js";
import type { MaskLossName } from "../settings/losses/table.js";
import { CommandSession } from "./commandSession.js";
import type { Candidates, Prediction } from "./inference.js";
import { toBorder } from "./names.js";
import { type NdArray, openNative } from "./native.js";

export type { Candidates, Prediction } from "./inference.js";

export type Device = "cpu" | "cuda" | `cuda:${number}`;
export type ImageArray = NdArray<Uint8Array | Uint16Array | Float32Array>;
/** Means over the batches that counted, `total_loss` and its weighted parts by name; null when no batch did. */
export type Losses = Record<string, number | null>;

export interface SessionOptions {
  size: string;
  /** Fields of the size table that differ from `size`, in camelCase. */
  overrides?: Record<string, unknown>;
  generation?: "plain" | "adv";
  device?: Device;
  precision?: "fp32" | "bf16";
  seed?: number;
  /** 0: all cores, of which commands of several sessions that run at the same time take equal parts. */
  threads?: number;
  deterministic?: boolean;
}

export interface LoadReport {
  layout: string;
  generation: "plain" | "adv";
  loaded: number;
  missing: string[];
  unexpected: string[];
  /** Tensors of another shape or kind of number than the model's, each described like "float32 [768]". */
  mismatched: { name: string; expected: string; found: string }[];
  /** For people: what was left out or was ambiguous. */
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

/** Everything of the stage's config that the engine needs (Stage1Config or Stage2Config without the visual keys). */
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
  parameters: number;
  groups: { name: string; lr: number; parameters: number }[];
}

export interface TrainEpochOptions {
  store: string;
  /** Tile numbers, [n]; the engine shuffles them by seed, fold and epoch. */
  indices: Int32Array;
  /** Folds train in orders of their own. Default 0. */
  fold?: number;
  epoch: number;
  startStep?: number;
  batchSize: number;
  /** Flips and quarter turns. */
  augment: boolean;
  /** Besides: affine and elastic deformation, brightness. Only with `augment`. Default false. */
  complexAugmentation?: boolean;
  /** Versions of each tile under complex augmentation; 0, the default: new ones in every epoch. */
  augmentationVariants?: number;
  signal?: AbortSignal | undefined;
  onStep?: ((event: StepEvent) => void) | undefined;
  /** What the engine had to do otherwise than asked, such as smaller prompt chunks for want of memory. */
  onNotice?: ((event: NoticeEvent) => void) | undefined;
}

/** `features` counts outputs of frozen trunks: those kept from before, and those that had to be computed. */
export interface ValidateReport {
  losses: Losses;
  images: number;
  seconds: number;
  features: { kept: number; computed: number };
}

export interface EpochReport extends ValidateReport {
  /** True when the signal ended the epoch early; `step` is then where to go on with `startStep`. */
  stopped: boolean;
  step: number;
  steps: number;
  lr: number;
  /** Of the work that a GPU repeats (`cudaGraphs` of stage 2): how often it was recorded, and how often repeated. */
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

/** How pixels are read; lib/config/data.ts says what each one does. Absent: the default of the configuration. */
export type PixelOptions = Partial<Values<typeof pixels>>;

/** How pixels are read and how boxes become cells; lib/config/inference.ts says what each one does. Absent: the default of the configuration. */
export type InferenceOptions = PixelOptions & Partial<Values<typeof inference>>;

export interface PredictOptions extends InferenceOptions {
  /** [H,W] or [H,W,C]. */
  image: ImageArray;
  /** Prompts in pixels, xyxy, [n,4]; without them the detector finds its own. */
  boxes?: NdArray<Float32Array | Float64Array>;
  signal?: AbortSignal | undefined;
}

export interface CandidatesOptions extends InferenceOptions {
  /** [H,W] or [H,W,C]. */
  image: ImageArray;
  /** Smallest detection score. Default 0.01. */
  floor?: number;
  /** Of a tile, best first; those above the configured threshold stay in any case. Default 1000. */
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
  load(path: string): Promise<LoadReport>;
  /** `dtype`: "fp32" (default), or "fp16" for half the size. */
  save(path: string, options?: { format?: "pth" | "safetensors"; dtype?: "fp32" | "fp16" }): Promise<SaveReport>;
  /** 16 hex digits per tensor, for "has it moved?" questions. */
  digest(): Promise<Record<string, string>>;
  parameters(): Promise<ParameterInfo[]>;
  beginStage(options: StageOptions): Promise<StageReport>;
  /** Other weights for the open stage's losses, from the next epoch on. An IoU loss cannot be switched on this way. */
  setLossWeights(weights: LossWeights): Promise<void>;
  /** Resolves with `stopped: true` after the current step when the signal fires. */
  trainEpoch(options: TrainEpochOptions): Promise<EpochReport>;
  /** Rejects with the signal's reason when it fires. */
  validate(options: ValidateOptions): Promise<ValidateReport>;
  /** Tells a plateau schedule the epoch's validation loss. */
  observe(loss: number): Promise<{ lr: number }>;
  saveState(path: string): Promise<SavedState>;
  loadState(path: string): Promise<StateReport>;
  /** Copies one trunk over the other; by default the detector's into the segmenter's image encoder. */
  transferWeights(to?: "image_encoder" | "cellfinder"): Promise<void>;
  endStage(): Promise<void>;
  /** Rejects with the signal's reason when it fires. */
  predict(options: PredictOptions): Promise<Prediction>;
  /** All that some detection threshold would find, in one pass; see assemblePrediction and sweepThresholds. */
  candidates(options: CandidatesOptions): Promise<Candidates>;
  /** IoU of each cell's mask when its true box is the prompt. Rejects with the signal's reason when it fires. */
  promptIou(options: PromptIouOptions): Promise<PromptIou>;
  /** Stops the running command, rejects it and the queued ones with ERR_DISPOSED, frees the model. May be called again. */
  dispose(): Promise<void>;
  readonly disposed: boolean;
}

/** Builds a model on its own thread. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { overrides, ...rest } = options;
  const native = await openNative({ kind: "model", ...toBorder(rest), ...(overrides && { overrides: toBorder(overrides) }) });
  return new ModelSession(native);
}

class ModelSession extends CommandSession implements Session {
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

  trainEpoch({ signal, onStep, onNotice, ...options }: TrainEpochOptions): Promise<EpochReport> {
    return this.send("train_epoch", options, signal, (event) => {
      const told = event as StepEvent | NoticeEvent;
      if (told.type === "step") onStep?.(told);
      else onNotice?.(told);
    });
  }

  validate({ signal, onNotice, ...options }: ValidateOptions): Promise<ValidateReport> {
    return this.command("validate", options, signal, onNotice as ((event: unknown) => void) | undefined);
  }

  observe(loss: number): Promise<{ lr: number }> {
    return this.command("observe", { loss });
  }

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

  predict({ signal, ...options }: PredictOptions): Promise<Prediction> {
    return this.command("predict", options, signal);
  }

  candidates({ signal, ...options }: CandidatesOptions): Promise<Candidates> {
    return this.command("candidates", options, signal);
  }

  promptIou({ signal, ...options }: PromptIouOptions): Promise<PromptIou> {
    return this.command("prompt_iou", options, signal);
  }
}
