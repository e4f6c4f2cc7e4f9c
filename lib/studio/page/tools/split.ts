/** Cuts a cell along a line. */
import { submit } from "../state/edits.js";
import { onlySelected, select } from "../state/image.js";
import { tell } from "../state/messages.js";
import { DragPath, drawLine } from "./path.js";
import type { Press, Tool } from "./tool.js";

const path = new DragPath();
/** Cells under the path, with the number of its points in each. */
const under = new Map<number, number>();

export const splitTool: Tool = {
  name: "split",
  title: "Split",
  hint: "Drag a line across a cell, from side to side.",
  drags: true,
  press(at) {
    under.clear();
    path.start(at.point);
    count(at);
  },
  move(at) {
    path.add(at.point);
    count(at);
  },
  release({ point }) {
    path.add(point);
    const line = path.points;
    path.clear();
    const cell = cellToCut();
    if (line.length < 2) return;
    if (cell === undefined) tell("The line crosses no cell.");
    else void submit({ kind: "split", cell, line }).then(() => select([]));
  },
  escape: () => path.escape(),
  draw: (context, pixel) => drawLine(context, path.points, pixel),
};

function count({ cell }: Press): void {
  if (cell > 0) under.set(cell, (under.get(cell) ?? 0) + 1);
}

/** The one that is selected, or else the one in which the line is longest. */
function cellToCut(): number | undefined {
  return onlySelected() ?? [...under].sort((a, b) => b[1] - a[1])[0]?.[0];
}
