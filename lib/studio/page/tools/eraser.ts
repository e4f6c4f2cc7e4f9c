/** Erases parts of cells. */
import { showUntil } from "../state/drawings.js";
import { submit } from "../state/edits.js";
import { onlySelected } from "../state/image.js";
import { radius } from "../state/settings.js";
import { boundsOf, DragPath, drawBrush, drawStroke, sayIfNothing } from "./path.js";
import type { Tool } from "./tool.js";

const path = new DragPath();
const COLOUR = "#20242b";

export const eraserTool: Tool = {
  name: "eraser",
  title: "Eraser",
  hint: "Erases of the selected cell, or of every cell while none is selected. Esc: none.",
  drags: true,
  press({ point }) {
    path.start(point);
  },
  move({ point }) {
    path.add(point);
  },
  release({ point }) {
    path.add(point);
    const [points, size] = [path.points, radius.value];
    path.clear();
    const cell = onlySelected();
    const draw = (context: CanvasRenderingContext2D) => drawStroke(context, points, size, COLOUR);
    const answer = submit({ kind: "erase", points, radius: size, cell });
    void showUntil(answer, { bounds: boundsOf(points, size), draw });
    void sayIfNothing(answer, cell);
  },
  escape: () => path.escape(),
  draw(context, pixel, pointer) {
    if (path.points.length > 0) drawStroke(context, path.points, radius.value, COLOUR);
    if (pointer) drawBrush(context, pointer, radius.value, pixel);
  },
};
