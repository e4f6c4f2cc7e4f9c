/** What the writers take: the cells of one image, and where each of them lies. */
import { CellsamError } from "../../errors.js";

/** Ids [H,W]; 0 is background, negative values are regions to ignore. */
export interface LabelArray {
  data: Int32Array;
  shape: readonly number[];
}

/** The cells of one image, such as a Prediction: row i of `scores` and `ious` belongs to the id i + 1. */
export interface Segmentation {
  labels: LabelArray;
  /** Detection scores [n]. */
  scores?: { data: ArrayLike<number> };
  /** The model's own estimate of the IoU of each mask, [n]. */
  ious?: { data: ArrayLike<number> };
}

/** A cell of a label map: columns x0 to x1 and rows y0 to y1 (both excluded) hold all of its pixels. */
export interface CellBox {
  id: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  /** Number of its pixels. */
  area: number;
}

/** Height and width of a label map. @throws CellsamError ERR_LABEL_VALUES where the numbers do not fill the shape */
export function sizeOf({ data, shape }: LabelArray): [height: number, width: number] {
  const [height = 0, width = 0] = shape;
  if (shape.length !== 2 || data.length !== height * width) {
    const message = `labels of shape [${shape.join(", ")}] cannot hold ${data.length} numbers; they must be [height, width]`;
    throw new CellsamError("ERR_LABEL_VALUES", message);
  }
  return [height, width];
}

/** The cells of a label map by rising id. */
export function cellBoxes(labels: LabelArray): CellBox[] {
  return boxesAsFound(labels).sort((a, b) => a.id - b.id);
}

/** The cells in the order of their first pixels. It takes memory for the cells alone, not for the pixels. */
export function boxesAsFound(labels: LabelArray): CellBox[] {
  const [height, width] = sizeOf(labels);
  const { data } = labels;
  const boxes = new Map<number, CellBox>();
  let last: CellBox | undefined;
  for (let y = 0; y < height; y++) {
    const end = (y + 1) * width;
    for (let at = y * width; at < end; ) {
      const id = data[at] as number;
      const start = at;
      while (at < end && data[at] === id) at++;
      if (id <= 0) continue;
      const x0 = start - y * width;
      const x1 = at - y * width;
      if (last?.id !== id) last = boxes.get(id);
      if (!last) {
        last = { id, x0, y0: y, x1, y1: y + 1, area: 0 };
        boxes.set(id, last);
      }
      if (x0 < last.x0) last.x0 = x0;
      if (x1 > last.x1) last.x1 = x1;
      last.y1 = y + 1;
      last.area += at - start;
    }
  }
  return [...boxes.values()];
}

/** One cell's pixels as ones, with a border of zeros: [y1 - y0 + 2, x1 - x0 + 2]. */
export interface CellMask {
  data: Uint8Array;
  height: number;
  width: number;
}

export function cellMask({ data, shape: [, across = 0] }: LabelArray, { id, x0, y0, x1, y1 }: CellBox): CellMask {
  const height = y1 - y0 + 2;
  const width = x1 - x0 + 2;
  const mask = new Uint8Array(height * width);
  for (let y = y0; y < y1; y++) {
    const to = (y - y0 + 1) * width + 1 - x0;
    for (let x = x0; x < x1; x++) if (data[y * across + x] === id) mask[to + x] = 1;
  }
  return { data: mask, height, width };
}

/** The finite numbers that are known of a cell, under the names that files give them. */
export function cellNumbers({ scores, ious }: Segmentation, id: number): { score?: number; predicted_iou?: number } {
  const score = scores?.data[id - 1];
  const iou = ious?.data[id - 1];
  return {
    ...(Number.isFinite(score) && { score: score as number }),
    ...(Number.isFinite(iou) && { predicted_iou: iou as number }),
  };
}
