/** Draws what is not in the labels: the network's proposal with its points and box, the crosshair, strokes under way. */
import type { Prompt } from "../state/proposal.js";

type Context = CanvasRenderingContext2D;
type Point = readonly [number, number];

const POSITIVE = "#1fd655";
const NEGATIVE = "#ff3b5c";
const PROPOSAL = "#ffffff";

/** Rings [x, y, x, y, ...] around an area and its holes. */
export function drawOutline(context: Context, rings: readonly (readonly number[])[], pixel: number): void {
  const path = new Path2D();
  for (const ring of rings) {
    for (let i = 0; i + 1 < ring.length; i += 2) path.lineTo(ring[i] as number, ring[i + 1] as number);
    path.closePath();
  }
  context.fillStyle = "rgba(255, 255, 255, 0.28)";
  context.fill(path, "evenodd");
  outlined(context, path, pixel, PROPOSAL);
}

/** A line that is seen on pale and on dark. */
export function outlined(context: Context, path: Path2D, pixel: number, colour: string): void {
  context.lineJoin = "round";
  context.strokeStyle = "rgba(0, 0, 0, 0.7)";
  context.lineWidth = 4 * pixel;
  context.stroke(path);
  context.strokeStyle = colour;
  context.lineWidth = 1.75 * pixel;
  context.stroke(path);
}

export function drawPrompt(context: Context, { points, labels, box }: Prompt, pixel: number): void {
  if (box) drawBox(context, box, pixel);
  points.forEach((point, i) => {
    drawPoint(context, point, labels[i] === 1, pixel);
  });
}

export function drawBox(context: Context, [x0, y0, x1, y1]: readonly [number, number, number, number], pixel: number): void {
  const path = new Path2D();
  path.rect(x0, y0, x1 - x0, y1 - y0);
  context.setLineDash([6 * pixel, 4 * pixel]);
  outlined(context, path, pixel, PROPOSAL);
  context.setLineDash([]);
}

/** A dot with a plus or a minus in it: not told apart by colour alone. */
function drawPoint(context: Context, [x, y]: Point, positive: boolean, pixel: number): void {
  context.beginPath();
  context.arc(x, y, 7 * pixel, 0, 2 * Math.PI);
  context.fillStyle = positive ? POSITIVE : NEGATIVE;
  context.fill();
  context.strokeStyle = "#000000";
  context.lineWidth = 1.25 * pixel;
  context.stroke();
  const sign = new Path2D();
  sign.rect(x - 4 * pixel, y - pixel, 8 * pixel, 2 * pixel);
  if (positive) sign.rect(x - pixel, y - 4 * pixel, 2 * pixel, 8 * pixel);
  context.fillStyle = "#000000";
  context.fill(sign);
}

export function drawCrosshair(context: Context, [x, y]: Point, pixel: number): void {
  const path = new Path2D();
  const [near, far] = [4 * pixel, 16 * pixel];
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    path.moveTo(x + near * dx, y + near * dy);
    path.lineTo(x + far * dx, y + far * dy);
  }
  outlined(context, path, pixel, PROPOSAL);
}
