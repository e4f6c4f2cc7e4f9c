/**
 * Turns stored samples into a label map. Whole non-negative ids are kept; what is not a label map is refused, never guessed.
 */
import { CellsamError } from "../errors.js";
import type { LabelMap, RawImage, Samples } from "./image.js";

function refuse(message: string): CellsamError {
  return new CellsamError("ERR_LABEL_VALUES", message);
}

/**
 * Rules: ids are whole numbers from 0 to 2^31 - 1; of indexed images the indices are the ids; RGB masks are read only when
 * their channels are equal; a bool mask, or one whose only values are 0 and 255, is a foreground mask and needs `binaryMasks`.
 * A map whose only id is 1 (or any other but 255) is one cell and is never split. `ignoreLabel` (which may be negative) becomes
 * -1.
 * @throws CellsamError ERR_LABEL_VALUES
 */
export function toLabels(raw: RawImage, binaryMasks = false, ignoreLabel?: number): LabelMap {
  const notes = [...raw.notes];
  const { data, height, width } = flatten(raw, notes);
  const ids = toIds(data, width, ignoreLabel);
  if (binaryMasks) {
    notes.push("4-connected regions of the binary mask became the cells");
    const regions = connectedComponents(
      ids.map((id) => (id > 0 ? 1 : 0)),
      height,
      width,
    );
    for (let i = 0; i < ids.length; i++) if (ids[i] === -1) regions.data[i] = -1;
    return { ...regions, notes };
  }
  const { found, changeShare } = survey(ids, width);
  found.delete(-1);
  if (found.size > 0 && (raw.dtype === "bool" || (found.size === 1 && found.has(255)))) {
    throw refuse(
      `it is a binary mask (${raw.dtype === "bool" ? "bool" : "0 and 255"}), not a label map: set \`binary_masks: true\` to make every 4-connected region a cell; cells that touch become one`,
    );
  }
  if (found.size >= fewestIds && changeShare > mostChanges) {
    throw refuse(
      "neighbouring pixels mostly have different ids, as in a photograph, not in a label map. Are img_path and mask_path swapped?",
    );
  }
  if (found.size === 1) {
    const regions = connectedComponents(ids, height, width).count;
    if (regions > 1)
      notes.push(`the mask's only id covers separate regions, which count as one cell; binary_masks: true makes each a cell`);
  }
  return { data: ids, shape: [height, width], count: found.size, notes };
}

/** `ignoreLabel` becomes -1; values that are no id are refused. */
function toIds(data: Samples, width: number, ignoreLabel: number | undefined): Int32Array {
  const ids = new Int32Array(data.length);
  if (data instanceof Uint8Array || data instanceof Uint16Array) {
    ids.set(data); // every value of these types is an id
    if (ignoreLabel !== undefined && ignoreLabel >= 0) {
      for (let i = 0; i < ids.length; i++) if (ids[i] === ignoreLabel) ids[i] = -1;
    }
    return ids;
  }
  for (let i = 0; i < data.length; i++) {
    const value = data[i] ?? 0;
    if (!Number.isInteger(value))
      throw refuse(`a mask holds whole numbers, this one holds ${value} at row ${Math.floor(i / width)}, column ${i % width}`);
    if (value === ignoreLabel) {
      ids[i] = -1;
      continue;
    }
    if (value < 0) throw refuse(`it holds the negative label ${value}; background is 0, cells count from 1`);
    if (value > 0x7fffffff) throw refuse(`it holds the label ${value}; ids go up to 2147483647`);
    ids[i] = value;
  }
  return ids;
}

/**
 * A mask with at least so many ids, and more than `mostChanges` changes of id between labelled neighbours in a row, is taken
 * for a photograph.
 */
const fewestIds = 20;
/** Cells would be less than 4 pixels wide on average. Label maps of DSB 2018 are below 0.02, its photographs above 0.3. */
const mostChanges = 0.25;

/**
 * The ids other than 0, and the share of neighbours in a row, both in a cell, whose ids differ. Label maps consist of runs of
 * equal ids, so only the ends of runs are looked at.
 */
function survey(ids: Int32Array, width: number): { found: Set<number>; changeShare: number } {
  const found = new Set<number>();
  let pairs = 0;
  let changes = 0;
  for (let start = 0; start < ids.length; start += width) {
    let left = 0;
    let run = start;
    const end = start + width;
    for (let i = start; i < end; i++) {
      while (i + 4 < end && ids[i] === left && ids[i + 1] === left && ids[i + 2] === left && ids[i + 3] === left) i += 4;
      const id = ids[i] as number;
      if (id === left) continue;
      if (id !== 0) found.add(id);
      if (left > 0) pairs += i - run - 1;
      if (left > 0 && id > 0) {
        pairs++;
        changes++;
      }
      left = id;
      run = i;
    }
    if (left > 0) pairs += end - run - 1;
  }
  return { found, changeShare: pairs === 0 ? 0 : changes / pairs };
}

function flatten(raw: RawImage, notes: string[]): { data: Samples; height: number; width: number } {
  const [a = 0, b = 0, c = 1] = raw.shape;
  if (raw.shape.length === 2 || c === 1) return { data: raw.data, height: a, width: b };
  if (a === 1) return { data: raw.data, height: b, width: c };
  const colours = raw.alpha ? c - 1 : c === 4 ? 3 : c;
  if (c > 4) throw refuse(`it has shape ${raw.shape.join(" x ")}; a mask has one channel`);
  const out = raw.data.slice(0, a * b);
  for (let i = 0; i < a * b; i++) {
    const first = raw.data[i * c] ?? 0;
    for (let k = 1; k < colours; k++) {
      if (raw.data[i * c + k] !== first)
        throw refuse("it is a coloured rendering of a mask; save the label ids themselves (16-bit PNG, TIFF or .npy)");
    }
    out[i] = first;
  }
  notes.push("the equal channels of the mask were reduced to one");
  return { data: out, height: a, width: b };
}

/** Regions of non-zero pixels that share an edge, numbered from 1 in row-major order of their first pixel. */
export function connectedComponents(mask: ArrayLike<number>, height: number, width: number): Omit<LabelMap, "notes"> {
  const data = new Int32Array(height * width);
  const stack: number[] = [];
  let count = 0;
  for (let start = 0; start < data.length; start++) {
    if (!mask[start] || data[start]) continue;
    count++;
    data[start] = count;
    stack.push(start);
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const x = at % width;
      for (const next of [at - width, at + width, x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1]) {
        if (next >= 0 && next < data.length && mask[next] && !data[next]) {
          data[next] = count;
          stack.push(next);
        }
      }
    }
  }
  return { data, shape: [height, width], count };
}
