/** The tools, in the order of the toolbar. */
import { computed } from "@preact/signals";
import { clearProposal } from "../state/proposal.js";
import { tool } from "../state/settings.js";
import { boxTool } from "./box.js";
import { brushTool } from "./brush.js";
import { clickTool } from "./click.js";
import { deleteTool } from "./delete.js";
import { eraserTool } from "./eraser.js";
import { fillTool } from "./fill.js";
import { mergeTool } from "./merge.js";
import { selectTool } from "./select.js";
import { splitTool } from "./split.js";
import type { Tool } from "./tool.js";

export const tools: readonly Tool[] = [
  selectTool,
  clickTool,
  boxTool,
  brushTool,
  eraserTool,
  fillTool,
  deleteTool,
  mergeTool,
  splitTool,
];

export const activeTool = computed<Tool>(() => tools.find(({ name }) => name === tool.value) ?? selectTool);

/** A proposal goes on from the box to clicks and back, and is given up with any other tool. */
export function chooseTool(name: Tool["name"]): void {
  if (name !== "click" && name !== "box") clearProposal();
  tool.value = name;
}
