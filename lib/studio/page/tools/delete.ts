/** Deletes cells. */
import { submit } from "../state/edits.js";
import type { Tool } from "./tool.js";

export const deleteTool: Tool = {
  name: "delete",
  title: "Delete",
  hint: "Click the cells that are to go.",
  drags: false,
  press({ cell }) {
    if (cell > 0) void submit({ kind: "delete", cells: [cell] });
  },
};
