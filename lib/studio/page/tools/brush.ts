/** Paints a new cell, or more of one. */
import { showUntil } from "../state/drawings.js";
import { submit } from "../state/edits.js";
import { cellColours, onlySelected, select } from "../state/image.js";
import { overOthers, radius } from "../state/settings.js";
import { colours } from "../viewer/cellColours.js";
import { boundsOf, DragPath, drawBrush, drawStroke, sayIfNothing } from "./path.js";
import type { Tool } from "./tool.js";

const path = new DragPath();
/** The cell that grows; null is a new one. */
let cell: number | null = null;

export const brushTool: Tool = {
  name: "brush",
  title: "Brush",
  hint: "Grows the selected cell or the one you begin in, else a new one. Esc: another cell.",
  drags: true,
  press({ point, cell: under }) {
    cell = onlySelected() ?? (under || null);
    path.start(point);
  },
  move({ point }) {
    path.add(point);
  },
  release({ point }) {
    path.add(point);
    if (path.points.length > 0) void paint(path.points, radius.value, cell);
    path.clear();
  },
  escape: () => path.escape(),
  draw(context, pixel, pointer) {
    if (path.points.length > 0) drawStroke(context, path.points, radius.value, colourOf(cell));
    if (pointer) drawBrush(context, pointer, radius.value, pixel);
  },
};

async function paint(points: [number, number][], size: number, grown: number | null): Promise<void> {
  const over = overOthers.value ? "all" : "background";
  const answer = submit({ kind: "paint", points, radius: size, cell: grown, over });
  const draw = (context: CanvasRenderingContext2D) => drawStroke(context, points, size, colourOf(grown));
  void showUntil(answer, { bounds: boundsOf(points, size), draw });
  void sayIfNothing(answer, grown);
  const [made] = (await answer)?.cells ?? [];
  if (grown === null && made) select([made.id]);
}

function colourOf(grown: number | null): string {
  return grown === null ? "#ffffff" : (colours[cellColours.value.labels.of(grown)] as string);
}
