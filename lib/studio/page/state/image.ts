/** The image that is open: its pyramid, contrast, cells, and what is selected. */
import { batch, computed, signal } from "@preact/signals";
import type { Bounds, Cell, EditAnswer, ImageView, Layer } from "../../api.js";
import { getCells, openImage } from "../api/client.js";
import { CellColours } from "../viewer/cellColours.js";
import type { ChannelDisplay } from "../viewer/contrast.js";
import { layer } from "./settings.js";
import { Shown } from "./shown.js";

export const view = signal<ImageView | null>(null);
export const channels = signal<readonly ChannelDisplay[]>([]);
export const cells = signal<ReadonlyMap<number, Cell>>(new Map());
export const selected = signal<ReadonlySet<number>>(new Set());
/** Of the cells of each layer; made anew for each image. */
export const cellColours = signal(newColours());
/** Parts of the labels that have changed, for the viewer; null is all of them. */
export const changed = signal<{ bounds: Bounds | null }>({ bounds: null });

/** The cells that nobody has accepted or drawn, those with the lowest score first. */
export const unreviewed = computed(() =>
  [...cells.value.values()]
    .filter(({ state }) => state === "predicted")
    .sort((a, b) => (a.score ?? 0) - (b.score ?? 0) || a.id - b.id)
    .map(({ id }) => id),
);

const shown = new Shown<number>();

/** Opens an image. One that cannot be opened leaves none open. @throws {Refused} {@link Unreachable} */
export async function showImage(image: number): Promise<void> {
  if (shown.wanted === image) return;
  shown.want(image);
  await load();
}

/**
 * Looks again at the image that is open, or at the one that is to be: contrast and selection of an open one stay.
 * @throws {Refused} {@link Unreachable}
 */
export const showImageAgain = (): Promise<void> => load();

/** Whether the image is open, and no other one is on its way. */
export const isOpen = (image: number): boolean => view.value?.id === image && shown.wanted === image;

async function load(): Promise<void> {
  const image = shown.wanted;
  const answer = await shown
    .ask((image) => Promise.all([openImage(image), getCells(image)]))
    .catch((error: unknown) => {
      if (view.value?.id !== image) closeImage();
      throw error;
    });
  if (!answer) return;
  const [opened, list] = answer;
  const same = view.value?.id === opened.id;
  const colours = same ? cellColours.value : newColours();
  colours.labels.place(list);
  batch(() => {
    view.value = opened;
    cells.value = new Map(list.map((cell) => [cell.id, cell]));
    cellColours.value = colours;
    if (layer.value !== "labels" && !opened[layer.value]) layer.value = "labels";
    if (same) select([...selected.value].filter((id) => cells.value.has(id)));
    else {
      select([]);
      layer.value = "labels";
      channels.value = contrastOf(opened);
    }
    changed.value = { bounds: null };
  });
}

function newColours(): Record<Layer, CellColours> {
  return { labels: new CellColours(), prediction: new CellColours(), before: new CellColours() };
}

/** Gives the cells of a prediction colours by their neighbours. */
export async function colourLayer(which: Layer): Promise<void> {
  const image = view.value?.id;
  if (image === undefined || which === "labels") return;
  const list = await getCells(image, which);
  const colours = new CellColours();
  colours.place(list);
  if (view.value?.id !== image) return;
  cellColours.value = { ...cellColours.value, [which]: colours };
  changed.value = { bounds: null };
}

function closeImage(): void {
  shown.want(null);
  batch(() => {
    view.value = null;
    cells.value = new Map();
    select([]);
  });
}

export function contrastOf({ channels }: ImageView): ChannelDisplay[] {
  return channels.map(({ low, high, color }) => ({ low, high, color, visible: true }));
}

export function setChannel(index: number, change: Partial<ChannelDisplay>): void {
  channels.value = channels.value.map((channel, i) => (i === index ? { ...channel, ...change } : channel));
}

export function select(ids: Iterable<number>): void {
  selected.value = new Set(ids);
}

/** The selected cell; null where none or several are selected. */
export function onlySelected(): number | null {
  const [only = null] = selected.value.size === 1 ? selected.value : [];
  return only;
}

/** Selects a cell, or takes it out of the selection. */
export function toggleSelected(id: number): void {
  const others = [...selected.value].filter((other) => other !== id);
  select(others.length === selected.value.size ? [...others, id] : others);
}

/** Takes over what an edit has changed. */
export function editApplied({ revision, bounds, cells: made, removed, undo, redo }: EditAnswer): void {
  if (!view.value) return;
  shown.changed(view.value.id);
  const next = new Map(cells.value);
  for (const id of removed) next.delete(id);
  for (const cell of made) next.set(cell.id, cell);
  cellColours.value.labels.remove(removed);
  cellColours.value.labels.place(made);
  batch(() => {
    view.value = { ...(view.value as ImageView), revision, undo, redo };
    cells.value = next;
    if (removed.some((id) => selected.value.has(id))) select([...selected.value].filter((id) => next.has(id)));
    if (bounds) changed.value = { bounds };
  });
}
