/** The path of a drag, and how strokes along it look. */
import type { Bounds, EditAnswer } from "../../api.js";
import { select, view } from "../state/image.js";
import { say } from "../state/messages.js";
import { outlined } from "../viewer/marks.js";

type Point = [number, number];
type Context = CanvasRenderingContext2D;

/** Hundredths of a pixel are more than a hand can draw. */
const rounded = (value: number) => Math.round(value * 100) / 100;

export class DragPath {
  points: Point[] = [];

  start(point: readonly [number, number]): void {
    this.points = [[rounded(point[0]), rounded(point[1])]];
  }

  /** Points nearer than `least` pixels to the last one change nothing. */
  add([x, y]: readonly [number, number], least = 0.25): void {
    const last = this.points.at(-1);
    if (last && Math.hypot(x - last[0], y - last[1]) >= least) this.points.push([rounded(x), rounded(y)]);
  }

  clear(): void {
    this.points = [];
  }

  /** What the key Escape does with it: gives up the drag that is under way, or else the selection. */
  escape(): void {
    if (this.points.length > 0) this.clear();
    else select([]);
  }
}

/** A line along the points. */
export function drawLine(context: Context, points: readonly Point[], pixel: number): void {
  const line = new Path2D();
  for (const [x, y] of points) line.lineTo(x, y);
  outlined(context, line, pixel, "#ffffff");
}

/** A brush of `radius` along the points, as it is drawn until the labels have it. */
export function drawStroke(context: Context, points: readonly Point[], radius: number, colour: string): void {
  const path = new Path2D();
  for (const [x, y] of points) path.lineTo(x, y);
  const [first] = points;
  if (points.length === 1 && first) path.lineTo(first[0] + 1e-3, first[1]);
  context.save();
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = Math.max(1, 2 * radius);
  context.strokeStyle = colour;
  context.globalAlpha = 0.55;
  context.stroke(path);
  context.restore();
}

/** The circle that a brush would paint. */
export function drawBrush(context: Context, [x, y]: readonly [number, number], radius: number, pixel: number): void {
  for (const [colour, width] of [
    ["rgba(0, 0, 0, 0.8)", 3],
    ["#ffffff", 1.25],
  ] as const) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = width * pixel;
    context.stroke();
  }
}

/** The bounds of a stroke, within the image. */
export function boundsOf(points: readonly Point[], radius: number): Bounds {
  const { width = 1, height = 1 } = view.peek() ?? {};
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const from = (values: number[], most: number) => Math.max(0, Math.min(most - 1, Math.floor(Math.min(...values) - radius)));
  const to = (values: number[], most: number) => Math.max(1, Math.min(most, Math.ceil(Math.max(...values) + radius) + 1));
  return [from(xs, width), from(ys, height), to(xs, width), to(ys, height)];
}

/** A stroke for the selected cell leaves all others as they are, which looks as if the tool did not work. */
export async function sayIfNothing(stroke: Promise<EditAnswer | null>, cell: number | null): Promise<void> {
  const answer = await stroke;
  if (answer?.bounds === null && cell !== null)
    say(`Nothing changed: the stroke is for the selected cell ${cell}. Esc selects none.`);
}
