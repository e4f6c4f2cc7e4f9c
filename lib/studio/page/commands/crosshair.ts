/** The keyboard in place of a pointer: a crosshair that arrow keys move, and presses of the tool where it is. */
import { view } from "../state/image.js";
import { activeTool } from "../tools/all.js";
import type { Tool } from "../tools/tool.js";
import { pointed, pressOn, showsLabels } from "../viewer/gestures.js";
import { viewer } from "../viewer/stage.js";

/** Pixels of the screen. */
const STEP = 8;

/** The tool that a first press began to drag. */
let dragging: Tool | null = null;

export function moveCrosshair(key: string, finely: boolean): void {
  const stage = viewer.value;
  const image = view.value;
  if (!stage || !image) return;
  const step = finely ? 1 : Math.max(1, Math.round(STEP / stage.camera.scale));
  const [dx, dy] = directionOf(key);
  const [x, y] = stage.crosshair ?? pointed.value ?? middle();
  const within = (at: number, length: number) => Math.max(0.5, Math.min(length - 0.5, Math.floor(at) + 0.5));
  const point = [within(x + step * dx, image.width), within(y + step * dy, image.height)] as const;
  stage.putCrosshair(point);
  pointed.value = point;
  if (dragging === activeTool.value) dragging.move?.(pressOn(stage, point, false));
}

/** A click; with a tool that drags, the beginning of the drag, and the next one its end. */
export function pressCrosshair(other: boolean): void {
  const stage = viewer.value;
  if (!stage || !view.value) return;
  if (!stage.crosshair) stage.putCrosshair(pointed.value ?? middle());
  if (!stage.crosshair || !showsLabels()) return;
  const press = pressOn(stage, stage.crosshair, other);
  const tool = activeTool.value;
  if (dragging === tool) {
    dragging = null;
    tool.release?.(press);
  } else {
    tool.press(press);
    dragging = tool.drags ? tool : null;
  }
  stage.requestFrame();
}

export function endCrosshairDrag(): void {
  dragging = null;
}

function directionOf(key: string): [number, number] {
  if (key.endsWith("Left")) return [-1, 0];
  if (key.endsWith("Right")) return [1, 0];
  return [0, key.endsWith("Up") ? -1 : 1];
}

/** Of what the canvas shows. */
function middle(): [number, number] {
  const stage = viewer.value;
  if (!stage) return [0, 0];
  const { left, top } = stage.canvas.getBoundingClientRect();
  return stage.pointAt({ clientX: left + stage.size.width / 2, clientY: top + stage.size.height / 2 });
}
