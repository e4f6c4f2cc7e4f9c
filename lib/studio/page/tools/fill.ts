/** Fills the holes of a cell. */
import { submit } from "../state/edits.js";
import { cells } from "../state/image.js";
import { tell } from "../state/messages.js";
import type { Tool } from "./tool.js";

export const fillTool: Tool = {
  name: "fill",
  title: "Fill holes",
  hint: "Click a cell, or a hole in it, to fill its holes.",
  drags: false,
  press({ cell, point }) {
    const filled = cell || smallestAround(point);
    if (filled) void submit({ kind: "fill", cell: filled });
    else tell("No cell is there.");
  },
};

/** The cell whose hole this may be: of those whose bounds contain the point, the one with the fewest pixels. */
function smallestAround([x, y]: readonly [number, number]): number | undefined {
  return [...cells.value.values()]
    .filter(({ bounds: [x0, y0, x1, y1] }) => x >= x0 && x < x1 && y >= y0 && y < y1)
    .sort((a, b) => a.area - b.area)[0]?.id;
}
