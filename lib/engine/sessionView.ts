/** An image that a session keeps embedded, so that prompts on it cost the mask decoder alone. */
import { CellsamError } from "../errors.js";
import type { ImageArray, InferenceOptions } from "./inference.js";
import type { NdArray } from "./native.js";

export interface EmbedOptions extends InferenceOptions {
  /** [H,W] or [H,W,C]. */
  image: ImageArray;
  /**
   * Which prompts the network was trained with. "boxes": the engine makes a box of points and masks, with the help of the
   * detector; the network would answer them with noise. Default "all".
   */
  trainedPrompts?: "all" | "boxes";
  /** How many tiles stay embedded, those that were needed last. Default 16. */
  keptTiles?: number;
  signal?: AbortSignal | undefined;
}

/** What shows one cell: points, a box, the mask of an earlier answer, or several of them. In pixels of the image. */
export interface PromptArrays {
  /** x and y, [k,2]; the centre of the top left pixel is (0.5, 0.5). */
  points?: NdArray<Float64Array>;
  /** 1 for a point on the cell, 0 for one beside it, [k]. */
  labels?: NdArray<Int32Array>;
  /** xyxy, [4]. */
  box?: NdArray<Float64Array>;
  /** The `logits` of an earlier answer, and its `tile`. */
  mask?: NdArray<Float32Array>;
  tile?: number;
  /** Whether to choose the best of SAM's three masks. Default false. */
  multimask?: boolean;
}

/** The cell that a prompt shows. */
export interface PromptedArrays {
  /** 0 or 1, [h,w]: the pixels of `bounds`. */
  mask: NdArray<Uint8Array>;
  /** xyxy in pixels of the image, the smallest that holds the cell; all 0 where nothing was found. */
  bounds: [number, number, number, number];
  /** The IoU that the mask decoder expects of its mask. */
  score: number;
  /** Of SAM's mask in low resolution, [m,m]. */
  logits: NdArray<Float32Array>;
  /** Which tile of the image they belong to. */
  tile: number;
}

/** Boxes of cells by falling score. */
export interface Detections {
  /** xyxy in pixels of the image, [n,4]. */
  boxes: NdArray<Float64Array>;
  /** [n]. */
  scores: NdArray<Float64Array>;
}

export interface SessionView {
  readonly height: number;
  readonly width: number;
  /** The cells of prompts, in their order. Rejects with the signal's reason when it fires. */
  segment(prompts: readonly PromptArrays[], signal?: AbortSignal): Promise<PromptedArrays[]>;
  /** The boxes that a prediction of the image would make cells of. */
  detect(signal?: AbortSignal): Promise<Detections>;
  /** Frees the embedded image. Calls that were made before still get their results. May be called repeatedly. */
  dispose(): Promise<void>;
}

/** Commands of the session of a view. */
interface ViewCommands {
  ofImage<T>(name: string, args: Record<string, unknown>, signal: AbortSignal | undefined): Promise<T>;
  /** Waits for all commands on the view that were sent before. */
  release(view: number): Promise<void>;
}

/**
 * Opens the view with this number of a session, which is new to it. Commands that change the session's weights end its views:
 * `segment` then rejects with ERR_STATE.
 */
export async function openView(
  commands: ViewCommands,
  view: number,
  { signal, ...options }: EmbedOptions,
): Promise<SessionView> {
  let disposed: Promise<void> | undefined;
  const ask = <T>(name: string, args: Record<string, unknown>, signal?: AbortSignal): Promise<T> => {
    if (!disposed) return commands.ofImage<T>(name, { view, ...args }, signal);
    return Promise.reject(new CellsamError("ERR_DISPOSED", `${name}: the view was disposed of; embed the image again`));
  };
  const release = async () => {
    try {
      await commands.release(view);
    } catch (error) {
      // A session that was disposed of has freed its views.
      if (!(error instanceof CellsamError && error.code === "ERR_DISPOSED")) throw error;
    }
  };
  const opened = ask<{ height: number; width: number }>("embed", { ...options }, signal);
  const size = await opened.catch(async (error) => {
    await release(); // an abort may have come when the view was open
    throw error;
  });
  return {
    ...size,
    segment: (prompts, signal) => ask("segment", { prompts: [...prompts] }, signal),
    detect: (signal) => ask("detect", {}, signal),
    dispose: () => {
      disposed ??= release();
      return disposed;
    },
  };
}
