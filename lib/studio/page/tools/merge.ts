/** Makes one cell of several. */
import { submit } from "../state/edits.js";
import { select, selected } from "../state/image.js";
import { DragPath, drawLine } from "./path.js";
import type { Press, Tool } from "./tool.js";

const path = new DragPath();
const touched = new Set<number>();

export const mergeTool: Tool = {
  name: "merge",
  title: "Merge",
  hint: "Drag a line through the cells that are one, or click them in turn.",
  drags: true,
  press(at) {
    touched.clear();
    path.start(at.point);
    touch(at);
  },
  move(at) {
    path.add(at.point);
    touch(at);
  },
  release(at) {
    touch(at);
    path.clear();
    // A click on a second cell merges it with the one that was clicked on before.
    if (touched.size === 1 && selected.value.size === 1) for (const id of selected.value) touched.add(id);
    if (touched.size > 1) void mergeCells([...touched]);
    else select(touched);
  },
  escape: () => path.escape(),
  draw: (context, pixel) => drawLine(context, path.points, pixel),
};

function touch({ cell }: Press): void {
  if (cell > 0) touched.add(cell);
}

/** The one with the lowest id stays. */
export async function mergeCells(ids: readonly number[]): Promise<void> {
  const sorted = [...ids].sort((a, b) => a - b);
  await submit({ kind: "merge", cells: sorted });
  select([]);
}
