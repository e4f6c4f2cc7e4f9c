/** The network segments the cell that is clicked on. */
import { addPoint, escapeProposal } from "../state/proposal.js";
import type { Tool } from "./tool.js";

export const clickTool: Tool = {
  name: "click",
  title: "Click to segment",
  hint: "Click a cell; Shift or right button: not part of it. Enter accepts, Esc clears.",
  drags: false,
  press: ({ point, other }) => addPoint(point, other ? 0 : 1),
  escape: escapeProposal,
};
