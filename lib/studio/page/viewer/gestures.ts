/** Pointers on the canvas: which of their gestures move the view, and which are the tool's. */
import { signal } from "@preact/signals";
import { view } from "../state/image.js";
import { tell } from "../state/messages.js";
import { layer } from "../state/settings.js";
import { activeTool } from "../tools/all.js";
import type { Press, Tool } from "../tools/tool.js";
import { CLICK, type Viewer } from "./viewer.js";

/** Where the pointer or the crosshair is, in the image. */
export const pointed = signal<readonly [number, number] | null>(null);
/** While the space bar is down a drag moves the view with every tool. */
export const spaceDown = signal(false);

const [LEFT, MIDDLE, RIGHT] = [0, 1, 2];

interface Down {
  pointer: number;
  tool: Tool;
  x: number;
  y: number;
  other: boolean;
  /** The tool follows the drag; otherwise it is given the click. */
  drags: boolean;
}

export function handlePointers(viewer: Viewer): void {
  const { canvas } = viewer;
  let down: Down | null = null;

  viewer.moves = (event) => {
    if (event.type === "wheel") return true;
    if ("touches" in event) return event.touches.length > 1 || !activeTool.value.drags;
    return event.button === MIDDLE || (event.button === LEFT && (spaceDown.value || !activeTool.value.drags));
  };
  viewer.drawTool = (context, pixel) => activeTool.value.draw?.(context, pixel, viewer.crosshair ?? pointed.value);

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    viewer.crosshair = null;
    pointed.value = viewer.pointAt(event);
    if (down || (event.button !== LEFT && event.button !== RIGHT) || spaceDown.value || !view.value) return;
    const tool = activeTool.value;
    const other = event.button === RIGHT || event.shiftKey;
    down = { pointer: event.pointerId, tool, x: event.clientX, y: event.clientY, other, drags: tool.drags };
    if (!tool.drags) return;
    if (showsLabels()) tool.press(pressAt(viewer, event, other));
    else down = null;
    if (down) canvas.setPointerCapture(event.pointerId);
  });

  canvas.addEventListener("pointermove", (event) => {
    viewer.crosshair = null;
    pointed.value = viewer.pointAt(event);
    viewer.requestFrame();
    if (!down?.drags || event.pointerId !== down.pointer) return;
    const steps = event.getCoalescedEvents?.() ?? [];
    for (const step of steps.length > 0 ? steps : [event]) down.tool.move?.(pressAt(viewer, step, down.other));
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!down || event.pointerId !== down.pointer) return;
    const { tool, x, y, other, drags } = down;
    down = null;
    const press = pressAt(viewer, event, other);
    if (drags) tool.release?.(press);
    else if (Math.hypot(event.clientX - x, event.clientY - y) <= CLICK && showsLabels()) tool.press(press);
    viewer.requestFrame();
  });

  canvas.addEventListener("pointercancel", () => {
    if (down?.drags) down.tool.escape?.();
    down = null;
  });
  canvas.addEventListener("pointerleave", () => {
    pointed.value = null;
    viewer.requestFrame();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  // A second finger moves the view: what the first one began is given up.
  canvas.addEventListener("touchstart", (event) => {
    if (event.touches.length < 2 || !down) return;
    if (down.drags) down.tool.escape?.();
    down = null;
  });
}

function pressAt(viewer: Viewer, event: { clientX: number; clientY: number }, other: boolean): Press {
  return pressOn(viewer, viewer.pointAt(event), other);
}

export function pressOn(viewer: Viewer, point: readonly [number, number], other: boolean): Press {
  return { point, cell: viewer.cellAt(point), other };
}

/** Tools change the labels: over another layer the first press shows them. */
export function showsLabels(): boolean {
  if (layer.value === "labels") return true;
  layer.value = "labels";
  tell("Now the labels are shown, which the tools change.");
  return false;
}
