/** An image that stays embedded for prompts, for programs in which a person points at cells. */
import { toPolygons } from "../data/writers/polygons.js";
import type { Detections, PromptedArrays, SessionView } from "../engine/session.js";
import { type LowResolutionMask, type Prompt, promptArrays } from "./prompts.js";

/** The cell that a prompt shows. */
export interface PromptedCell {
  /** 0 or 1 for each pixel of `bounds`, row by row. */
  mask: Uint8Array;
  /** x0, y0, x1, y1 in pixels of the image, the last two excluded: the smallest that holds the cell. All 0: nothing was found. */
  bounds: [x0: number, y0: number, x1: number, y1: number];
  /** The IoU that the model expects of its mask. */
  score: number;
  /** Polygons as of toPolygons: for each part its outer ring, then its holes, each x, y, x, y, ... in pixels of the image. */
  outline: Int32Array[][];
  /** To pass back as `mask` of the next prompt for this cell. */
  lowResolution: LowResolutionMask;
}

/** Calls may be made at any time, also several at once; each gets its own answer. */
export interface ImageView extends AsyncDisposable {
  readonly height: number;
  readonly width: number;
  /**
   * The cell that a prompt shows, or the cells of several prompts in their order. Neither `iouThreshold` nor `minArea` of the
   * settings drops one; `score` says how sure the model is.
   * @throws the signal's reason when it fires, CellsamError ERR_INVALID_ARGUMENT for a prompt that has no meaning on this image,
   * ERR_TOO_FAR_APART for points on a cell that no tile has all of, ERR_DISPOSED after `dispose`
   */
  segment(prompt: Prompt & { signal?: AbortSignal | undefined }): Promise<PromptedCell>;
  segment(prompts: readonly Prompt[], options?: { signal?: AbortSignal | undefined }): Promise<PromptedCell[]>;
  /** The boxes that `predict` would make cells of, by falling score. */
  detect(options?: { signal?: AbortSignal | undefined }): Promise<Detections>;
  /** Frees the embedded image. Calls that were made before still get their answers. May be called repeatedly. */
  dispose(): Promise<void>;
}

/** The public form of a session's view. */
export function imageView(view: SessionView): ImageView {
  const all = async (prompts: readonly Prompt[], signal?: AbortSignal) => {
    const cells = await view.segment(
      prompts.map((prompt) => promptArrays(prompt, view)),
      signal,
    );
    return cells.map(promptedCell);
  };
  const segment = async (
    given: readonly Prompt[] | (Prompt & { signal?: AbortSignal | undefined }),
    options: { signal?: AbortSignal | undefined } = {},
  ) => {
    if (isList(given)) return all(given, options.signal);
    const { signal, ...prompt } = given;
    const [cell] = await all([prompt], signal);
    return cell;
  };
  return {
    height: view.height,
    width: view.width,
    segment: segment as ImageView["segment"],
    detect: ({ signal } = {}) => view.detect(signal),
    dispose: () => view.dispose(),
    [Symbol.asyncDispose]: () => view.dispose(),
  };
}

function isList<T>(given: readonly T[] | object): given is readonly T[] {
  return Array.isArray(given);
}

function promptedCell({ mask, bounds, score, logits, tile }: PromptedArrays): PromptedCell {
  const outline = outlineOf({ mask: mask.data, bounds });
  return { mask: mask.data, bounds, score, outline, lowResolution: { ...logits, tile } };
}

/** The outline of a cell by its pixels. */
export function outlineOf({ mask, bounds: [x0, y0, x1, y1] }: Pick<PromptedCell, "mask" | "bounds">): Int32Array[][] {
  const [cell] = toPolygons({ data: Int32Array.from(mask), shape: [y1 - y0, x1 - x0] });
  return (cell?.polygons ?? []).map((rings) => rings.map((ring) => ring.map((place, i) => place + (i % 2 === 0 ? x0 : y0))));
}
