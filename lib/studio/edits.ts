/** The edits of a label map, each as a change of its pixels and of what is known of its cells. */
import { type CellMask, cellMask } from "../data/writers/segmentation.js";
import { CellsamError } from "../errors.js";
import type { Bounds, Cell, Edit } from "./api.js";
import { Change, type Delta } from "./delta.js";
import type { CellNote, LabelMap } from "./labelMap.js";
import { largestParts } from "./meantPieces.js";
import { holesOf, lineOf, partsOf } from "./regions.js";
import { maskRows, runLengthsOf } from "./runLengths.js";
import { strokeRows } from "./strokes.js";

/** An edit that changes labels; the others move through the history of such edits. */
export type LabelEdit = Exclude<Edit, { kind: "undo" | "redo" }>;
type EditOf<Kind extends Edit["kind"]> = Extract<Edit, { kind: Kind }>;

/** A whole label map that takes the place of another one, [H,W] of the same size. */
export interface Replacement {
  labels: Int32Array;
  note: (id: number) => CellNote;
}

/**
 * Makes the edit. `replacement` is what `take-prediction` and `take-own-masks` take.
 * @throws CellsamError ERR_INVALID_ARGUMENT for a cell that is not there, and for a line that divides nothing; the map is then
 * as it was
 */
export function makeEdit(map: LabelMap, edit: LabelEdit, replacement?: Replacement): Delta {
  const change = new Change(map);
  switch (edit.kind) {
    case "add":
      add(map, change, edit);
      break;
    case "paint":
      paint(map, change, edit);
      break;
    case "erase":
      erase(map, change, edit);
      break;
    case "delete":
      for (const id of chosen(map, edit.cells)) become(map, change, id, 0);
      break;
    case "reject":
      for (const id of predictedOf(map, edit.cells)) become(map, change, id, 0);
      break;
    case "accept":
      for (const id of predictedOf(map, edit.cells)) change.setNote(id, { ...noteOf(map, id), state: "accepted" });
      break;
    case "merge":
      merge(map, change, edit);
      break;
    case "split":
      split(map, change, edit);
      break;
    case "fill":
      fill(map, change, edit);
      break;
    default:
      if (replacement) replace(map, change, replacement);
  }
  return change.finish();
}

/** Whether a new or grown cell may take a pixel of this id. */
const mayTake = (over: "background" | "all") => (id: number) => over === "all" || id === 0;

function add(map: LabelMap, change: Change, { bounds, runs, over, score }: EditOf<"add">): void {
  const [, , x1, y1] = bounds;
  if (x1 > map.width || y1 > map.height)
    throw refused(`the bounds [${bounds.join(", ")}] lie outside the image of ${map.width} x ${map.height} pixels`);
  const id = map.highest + 1;
  const rows: [number, number, number][] = [];
  maskRows(bounds, runs, (...row) => rows.push(row));
  const isFree = ([y, from, to]: [number, number, number]) =>
    map.data.subarray(y * map.width + from, y * map.width + to).every((old) => old === 0);
  if (over === "all" || rows.every(isFree)) for (const [y, from, to] of rows) change.setRun(y, from, to, id);
  else addBeside(map, change, bounds, rows, id);
  change.setNote(id, { score: score ?? null, state: "drawn" });
}

/** Adds what the cells there leave free of the rows, without the crumbs behind them. */
function addBeside(map: LabelMap, change: Change, bounds: Bounds, rows: [number, number, number][], id: number): void {
  const [x0, y0, x1, y1] = bounds;
  const width = x1 - x0;
  const whole = new Uint8Array(width * (y1 - y0));
  for (const [y, from, to] of rows) whole.fill(1, (y - y0) * width + from - x0, (y - y0) * width + to - x0);
  const idAt = (at: number) => map.data[(y0 + Math.floor(at / width)) * map.width + x0 + (at % width)] as number;
  const free = whole.map((inside, at) => (inside && idAt(at) === 0 ? 1 : 0));
  const mask = largestParts(whole, free, y1 - y0, width);
  maskRows(bounds, runLengthsOf(mask), (y, from, to) => change.setRun(y, from, to, id));
}

function paint(map: LabelMap, change: Change, { points, radius, cell, over }: EditOf<"paint">): void {
  if (cell !== null) known(map, cell);
  const id = cell ?? map.highest + 1;
  strokeRows(points, radius, [map.height, map.width], (y, from, to) => change.setRun(y, from, to, id, mayTake(over)));
  if (change.changed) drawn(map, change, id);
}

function erase(map: LabelMap, change: Change, { points, radius, cell }: EditOf<"erase">): void {
  if (cell !== null) known(map, cell);
  const touched = new Set<number>();
  const may = (id: number) => {
    if (cell !== null && id !== cell) return false;
    touched.add(id);
    return true;
  };
  strokeRows(points, radius, [map.height, map.width], (y, from, to) => change.setRun(y, from, to, 0, may));
  for (const id of touched) drawn(map, change, id);
}

function merge(map: LabelMap, change: Change, { cells }: EditOf<"merge">): void {
  const [first, ...others] = chosen(map, cells);
  if (first === undefined || others.length === 0) throw refused("a merge needs two cells");
  for (const id of others) become(map, change, id, first);
  drawn(map, change, first);
}

function split(map: LabelMap, change: Change, { cell, line }: EditOf<"split">): void {
  const { mask, bounds } = maskOf(map, cell);
  const local = line.map(([x, y]): [number, number] => [x - bounds[0] + 1, y - bounds[1] + 1]);
  const { parts, count } = partsOf(mask, lineOf(local, mask.height, mask.width));
  if (count < 2) throw refused(`the line does not divide cell ${cell}: draw it from outside the cell, through it, to outside`);
  const note = noteOf(map, cell);
  const free = map.highest + 1;
  for (let part = 2; part <= count; part++) {
    const id = free + part - 2;
    setPixels(change, mask, bounds, id, (at) => parts[at] === part);
    change.setNote(id, { ...note, state: "drawn" });
  }
  drawn(map, change, cell);
}

function fill(map: LabelMap, change: Change, { cell }: EditOf<"fill">): void {
  const { mask, bounds } = maskOf(map, cell);
  const holes = holesOf(mask);
  setPixels(change, mask, bounds, cell, (at) => holes[at] === 1);
  if (change.changed) drawn(map, change, cell);
}

function replace(map: LabelMap, change: Change, { labels, note }: Replacement): void {
  const { width, height } = map;
  const ids = new Set<number>();
  for (let y = 0; y < height; y++) {
    for (let start = y * width; start < (y + 1) * width; ) {
      const id = Math.max(0, labels[start] as number);
      let end = start + 1;
      while (end < (y + 1) * width && Math.max(0, labels[end] as number) === id) end++;
      if (id > 0) ids.add(id);
      change.setRun(y, start - y * width, end - y * width, id);
      start = end;
    }
  }
  for (const id of ids) change.setNote(id, note(id));
}

/**
 * Makes the chosen pixels of a cell's mask, which lies at `bounds`, pixels of `id`, where they are the cell's or background.
 */
function setPixels(change: Change, mask: CellMask, bounds: Bounds, id: number, isChosen: (at: number) => boolean): void {
  const { width, height, data } = mask;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      if (!isChosen(at)) continue;
      let end = x + 1;
      while (end < width - 1 && isChosen(y * width + end) && data[y * width + end] === data[at]) end++;
      const own = data[at] === 1;
      change.setRun(y + bounds[1] - 1, x + bounds[0] - 1, end + bounds[0] - 1, id, (old) => own || old === 0);
      x = end - 1;
    }
  }
}

/** Gives every pixel of a cell to another one, or to the background (0). */
function become(map: LabelMap, change: Change, id: number, to: number): void {
  const [x0, y0, x1, y1] = known(map, id).bounds;
  for (let y = y0; y < y1; y++) change.setRun(y, x0, x1, to, (old) => old === id);
}

function maskOf(map: LabelMap, id: number): { mask: CellMask; bounds: Bounds } {
  const { bounds, area } = known(map, id);
  const [x0, y0, x1, y1] = bounds;
  const labels = { data: map.data, shape: [map.height, map.width] };
  return { mask: cellMask(labels, { id, x0, y0, x1, y1, area }), bounds };
}

/** A cell that was changed by hand. */
function drawn(map: LabelMap, change: Change, id: number): void {
  const note = map.note(id);
  if (note) change.setNote(id, { ...note, state: "drawn" });
}

function chosen(map: LabelMap, cells: "all" | readonly number[]): number[] {
  const ids = cells === "all" ? map.ids() : [...new Set(cells)];
  for (const id of ids) known(map, id);
  return ids;
}

/** "all" are those that nobody has accepted or drawn. */
function predictedOf(map: LabelMap, cells: "all" | readonly number[]): number[] {
  return cells === "all" ? map.ids().filter((id) => map.note(id)?.state === "predicted") : chosen(map, cells);
}

function known(map: LabelMap, id: number): Cell {
  const cell = map.cell(id);
  if (!cell) throw refused(`there is no cell ${id} in this image`);
  return cell;
}

function noteOf(map: LabelMap, id: number): CellNote {
  known(map, id);
  return map.note(id) as CellNote;
}

function refused(message: string): CellsamError {
  return new CellsamError("ERR_INVALID_ARGUMENT", message);
}
