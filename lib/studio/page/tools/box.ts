/** The network segments the cell in a box. */
import { addPoint, escapeProposal, prompt, setBox } from "../state/proposal.js";
import { drawBox } from "../viewer/marks.js";
import type { Press, Tool } from "./tool.js";

type Corner = readonly [number, number];

/** Pixels of the image that a box needs on each side; a smaller one is a click. */
const LEAST = 2;

let from: Corner | null = null;
let to: Corner = [0, 0];

export const boxTool: Tool = {
  name: "box",
  title: "Box to segment",
  hint: "Drag a box around a cell; clicks correct the proposal. Enter accepts, Esc clears.",
  drags: true,
  press({ point }) {
    from = point;
    to = point;
  },
  move({ point }) {
    to = point;
  },
  release({ point, other }: Press) {
    const box = from && boxOf(from, point);
    from = null;
    if (!box) return;
    if (box[2] - box[0] >= LEAST && box[3] - box[1] >= LEAST) setBox(box);
    else if (prompt.value.box) addPoint(point, other ? 0 : 1);
  },
  escape() {
    from = null;
    escapeProposal();
  },
  draw(context, pixel) {
    if (from) drawBox(context, boxOf(from, to), pixel);
  },
};

function boxOf(a: Corner, b: Corner): [number, number, number, number] {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
}
