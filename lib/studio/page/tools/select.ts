/** Selects cells. */
import { select, selected, toggleSelected } from "../state/image.js";
import type { Tool } from "./tool.js";

export const selectTool: Tool = {
  name: "select",
  title: "Select",
  hint: "Click a cell to select it, Shift for several. Drag moves, scrolling zooms.",
  drags: false,
  press({ cell, other }) {
    if (other && cell > 0) toggleSelected(cell);
    else select(cell > 0 ? [cell] : []);
  },
  escape() {
    if (selected.value.size > 0) select([]);
  },
};
