/** What each command does. Keys and buttons alike call these. */
import { signal } from "@preact/signals";
import type { Layer } from "../../api.js";
import { submit } from "../state/edits.js";
import { cells, channels, select, selected, setChannel, unreviewed, view } from "../state/image.js";
import { openNextToCorrect, predictThis, setDone, stepImage, train } from "../state/loop.js";
import { say } from "../state/messages.js";
import { acceptProposal, proposal } from "../state/proposal.js";
import { areasShown, layer, opacity, outlinesShown, radius, type ToolName } from "../state/settings.js";
import { activeTool, chooseTool } from "../tools/all.js";
import { mergeCells } from "../tools/merge.js";
import { viewer } from "../viewer/stage.js";
import { endCrosshairDrag, moveCrosshair, pressCrosshair } from "./crosshair.js";
import type { Command } from "./keymap.js";

export const helpShown = signal(false);

const ZOOM = 1.5;
const MOST_RADIUS = 200;

/** @param key the key that was pressed, for commands that several keys give */
export function run(command: Command, key = ""): void {
  if (command.startsWith("tool ")) chooseTool(command.slice("tool ".length) as ToolName);
  else actions[command as keyof typeof actions](key);
  viewer.value?.requestFrame();
}

const actions: Record<Exclude<Command, `tool ${string}`>, (key: string) => void> = {
  "smaller brush": () => setRadius(Math.min(radius.value - 1, Math.floor(radius.value / 1.25))),
  "larger brush": () => setRadius(Math.max(radius.value + 1, Math.round(radius.value * 1.25))),
  "accept proposal": () => {
    if (proposal.value) void acceptProposal();
  },
  escape: () => {
    endCrosshairDrag();
    if (activeTool.value.escape) activeTool.value.escape();
    else select([]);
  },
  "next cell": () => stepCell(1),
  "previous cell": () => stepCell(-1),
  accept: () => void onSelected("accept").then((done) => done && stepCell(1)),
  "accept all": () => void submit({ kind: "accept", cells: "all" }),
  reject: () => void onSelected("reject").then((done) => done && stepCell(1)),
  delete: () => void onSelected("delete"),
  merge: () => {
    if (selected.value.size > 1) void mergeCells([...selected.value]);
  },
  undo: () => void submit({ kind: "undo" }),
  redo: () => void submit({ kind: "redo" }),
  "zoom in": () => viewer.value?.zoomBy(ZOOM),
  "zoom out": () => viewer.value?.zoomBy(1 / ZOOM),
  fit: () => viewer.value?.fit(),
  "actual size": () => viewer.value?.actualSize(),
  "next layer": nextLayer,
  areas: () => {
    areasShown.value = !areasShown.value;
  },
  outlines: () => {
    outlinesShown.value = !outlinesShown.value;
  },
  fainter: () => setOpacity(opacity.value - 0.1),
  stronger: () => setOpacity(opacity.value + 0.1),
  channel: (key) => {
    const index = Number(key) - 1;
    const channel = channels.value[index];
    if (!channel) return;
    setChannel(index, { visible: !channel.visible });
    say(`Channel ${key} is ${channel.visible ? "hidden" : "shown"}; the same key changes it back.`);
  },
  crosshair: (key) => moveCrosshair(key, false),
  "crosshair finely": (key) => moveCrosshair(key, true),
  press: () => pressCrosshair(false),
  "press other": () => pressCrosshair(true),
  "next image": () => stepImage(1),
  "previous image": () => stepImage(-1),
  "image to correct": openNextToCorrect,
  done: () => void setDone(!view.value?.done),
  predict: () => void predictThis(),
  train: () => void train(),
  help: () => {
    helpShown.value = !helpShown.value;
  },
};

export function setRadius(value: number): void {
  radius.value = Math.max(1, Math.min(MOST_RADIUS, value));
}

function setOpacity(value: number): void {
  opacity.value = Math.max(0, Math.min(1, Math.round(value * 10) / 10));
}

/** Selects the cell `by` places further among those to review, and shows it. */
function stepCell(by: 1 | -1): void {
  const ids = unreviewed.value;
  if (ids.length === 0) return;
  const [only = 0] = selected.value;
  const at = ids.indexOf(only);
  const next = ids[at < 0 ? (by > 0 ? 0 : ids.length - 1) : (at + by + ids.length) % ids.length] as number;
  select([next]);
  const cell = cells.value.get(next);
  if (cell) viewer.value?.showArea(cell.bounds);
}

/** @returns whether there was a selection, and the server did it */
async function onSelected(kind: "accept" | "reject" | "delete"): Promise<boolean> {
  if (selected.value.size === 0) return false;
  return (await submit({ kind, cells: [...selected.value] })) !== null;
}

function nextLayer(): void {
  const { prediction, before } = view.value ?? {};
  const layers: Layer[] = ["labels"];
  if (prediction) layers.push("prediction");
  if (before) layers.push("before");
  layer.value = layers[(layers.indexOf(layer.value) + 1) % layers.length] ?? "labels";
}
