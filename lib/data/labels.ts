/**
 * Turns stored samples into a label map. Whole non-negative ids are kept; what is not a label map is refused, never guessed.
 */
import { CellsamError } from "../errors.js";
import type { LabelMap, LabelOptions, RawImage, Samples } from "./image.js";
import { isWhole, largestValue, smearOf, softForegroundCut } from "./softMask.js";

function refuse(message: string): CellsamError {
  return new CellsamError("ERR_LABEL_VALUES", message);
}

/** The options that decide what the values of a mask mean. */
export type LabelRules = Pick<LabelOptions, "binaryMasks" | "ignoreLabel" | "backgroundLabel" | "relabel">;

/**
 * Rules: ids are whole numbers from 0 to 2^31 - 1; of indexed images the indices are the ids; RGB masks are read only when
 * their channels are equal; a bool mask, or one whose only values are 0 and 255, is a foreground mask and needs `binaryMasks`
 * or `relabel`. A foreground mask with grey edges is cut at half of its maximum. An id is one cell, however many regions it
 * has, unless `relabel` says otherwise. `ignoreLabel` (which may be negative) becomes -1, `backgroundLabel` becomes 0.
 * @throws CellsamError ERR_LABEL_VALUES
 */
export function toLabels(raw: RawImage, rules: LabelRules = {}): LabelMap {
  const { binaryMasks = false, ignoreLabel, backgroundLabel, relabel = "check" } = rules;
  const notes = [...raw.notes];
  const { data, height, width } = flatten(raw, notes);
  const known = ignoreLabel === undefined ? data : without(data, ignoreLabel);
  const soft = softForegroundCut(known, height, width);
  if (binaryMasks) {
    const top = largestValue(known);
    if (Number.isNaN(top)) throw refuse("it holds values that are negative or no numbers");
    // Fractions are probabilities, however they are spread.
    const cut = soft ?? (isWhole(known) ? null : top / 2);
    const foreground = foregroundOf(data, cut, rules);
    notes.push("4-connected regions of the binary mask became the cells");
    if (cut !== null) notes.push("the mask has grey edges and was cut at half of its highest value");
    const regions = connectedComponents(foreground, height, width);
    if (ignoreLabel !== undefined) for (let i = 0; i < data.length; i++) if (data[i] === ignoreLabel) regions.data[i] = -1;
    return { ...regions, notes, foreground: top };
  }
  if (soft !== null) {
    throw refuse(
      "it is a foreground mask with grey edges (drawn with antialiasing, stored as JPEG, or of probabilities), not a label map: set `binary_masks: true` to cut it at half of its highest value and make every 4-connected region a cell; cells that touch become one",
    );
  }
  const ids = toIds(data, width, ignoreLabel);
  if (backgroundLabel) for (let i = 0; i < ids.length; i++) if (ids[i] === backgroundLabel) ids[i] = 0;
  const { found, changeShare } = survey(ids, width);
  found.delete(-1);
  const { smeared, inside } = smearOf(ids, height, width);
  if (smeared && inside >= leastInside) {
    throw refuse(
      "along the borders of its cells lie thin ids between the ids of both sides: the mask was resized with interpolation, which invents ids. Resize the original mask with nearest neighbour",
    );
  }
  if (relabel !== "connected" && found.size > 0 && (raw.dtype === "bool" || (found.size === 1 && found.has(255)))) {
    throw refuse(
      `it is a binary mask (${raw.dtype === "bool" ? "bool" : "0 and 255"}), not a label map: set \`binary_masks: true\` to make every 4-connected region a cell; cells that touch become one`,
    );
  }
  if (found.size >= fewestIds && changeShare > mostChanges) {
    throw refuse(
      "neighbouring pixels mostly have different ids, as in a photograph or after JPEG, not in a label map. Are img_path and mask_path swapped?",
    );
  }
  if (relabel === "connected") {
    notes.push("every 4-connected region of an id became a cell of its own (relabel)");
    const regions = connectedComponents(ids, height, width);
    for (let i = 0; i < ids.length; i++) if (ids[i] === -1) regions.data[i] = -1;
    return { ...regions, notes };
  }
  return { data: ids, shape: [height, width], count: found.size, notes };
}

/** The mask of one object: from half of its highest value on, so that soft edges do not make it grow. */
export function toObject(raw: RawImage): { data: Uint8Array; shape: [number, number] } {
  const { data, height, width } = flatten(raw, []);
  const top = largestValue(data);
  if (Number.isNaN(top)) throw refuse("it holds values that are negative or no numbers");
  return { data: Uint8Array.from(data, (value) => (value > 0 && value * 2 >= top ? 1 : 0)), shape: [height, width] };
}

/** 1 for foreground; what equals `backgroundLabel`, or `ignoreLabel`, is none. */
function foregroundOf(data: Samples, cut: number | null, { ignoreLabel, backgroundLabel }: LabelRules): Uint8Array {
  const inverted = cut !== null && backgroundLabel !== undefined && backgroundLabel >= cut;
  return Uint8Array.from(data, (value) => {
    if (value === ignoreLabel) return 0;
    if (cut !== null) return value >= cut === inverted ? 0 : 1;
    // Only a mask whose background is not 0 has cells of 0.
    return backgroundLabel ? (value === backgroundLabel ? 0 : 1) : value > 0 ? 1 : 0;
  });
}

function without(data: Samples, value: number): Samples {
  return data.includes(value) ? data.map((one) => (one === value ? 0 : one)) : data;
}

/** Sets cells of fewer than `smallest` pixels to background. @returns how many */
export function removeSmall(labels: LabelMap, smallest: number): number {
  const { data } = labels;
  const areas = new Map<number, number>();
  for (let i = 0; i < data.length; ) {
    const id = data[i] as number;
    const start = i;
    while (i < data.length && data[i] === id) i++;
    if (id > 0) areas.set(id, (areas.get(id) ?? 0) + i - start);
  }
  const small = new Set([...areas].filter(([, area]) => area < smallest).map(([id]) => id));
  if (small.size === 0) return 0;
  for (let i = 0; i < data.length; i++) if (small.has(data[i] as number)) data[i] = 0;
  labels.count -= small.size;
  return small.size;
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
      throw refuse(
        `a mask holds whole numbers, this one holds ${value} at row ${Math.floor(i / width)}, column ${i % width}; probabilities must become labels first, and a mask must be resized with nearest neighbour`,
      );
    if (value === ignoreLabel) {
      ids[i] = -1;
      continue;
    }
    if (value < 0)
      throw refuse(
        `it holds the negative label ${value}; background is 0, cells count from 1; ignore_label: ${value} takes it for neither`,
      );
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
/** With a smaller share of pixels inside a cell, values that rise or fall along borders are those of a photograph. */
const leastInside = 0.05;

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

/**
 * Regions of equal values above 0 whose pixels share an edge, numbered from 1 in row-major order of their first pixel. Cells
 * that touch at a corner are two cells, so corners do not connect.
 */
export function connectedComponents(mask: ArrayLike<number>, height: number, width: number): Omit<LabelMap, "notes"> {
  const data = new Int32Array(height * width);
  const stack: number[] = [];
  let count = 0;
  for (let start = 0; start < data.length; start++) {
    const value = mask[start] as number;
    if (!(value > 0) || data[start]) continue;
    count++;
    data[start] = count;
    stack.push(start);
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const x = at % width;
      for (const next of [at - width, at + width, x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1]) {
        if (next >= 0 && next < data.length && mask[next] === value && !data[next]) {
          data[next] = count;
          stack.push(next);
        }
      }
    }
  }
  return { data, shape: [height, width], count };
}
