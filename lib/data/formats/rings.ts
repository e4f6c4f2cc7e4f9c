/** Outlines as annotation files write them, with what is wrong with them. */
import type { DrawnObject, Outline, Polygon, Slip } from "../objects.js";
import { listOf, numberOf } from "./json.js";

/** A closed line, or what is wrong with it. */
export type RingOrSlip = Float64Array | "broken" | "fewPoints";

/** A ring of [x, y, x, y, ...]. */
export function flatRing(values: readonly unknown[], text: { found: boolean }): RingOrSlip {
  const ring = new Float64Array(values.length);
  for (const [i, value] of values.entries()) {
    const number = numberOf(value, text);
    if (number === undefined) return "broken";
    ring[i] = number;
  }
  if (ring.length % 2 !== 0) return "broken";
  return ring.length < 6 ? "fewPoints" : ring;
}

/** A ring of [[x, y], [x, y], ...]; further numbers of a point are left out. */
export function pointRing(points: unknown, text: { found: boolean }): RingOrSlip {
  if (!Array.isArray(points)) return "broken";
  const flat: unknown[] = [];
  for (const point of points) {
    const [x, y] = listOf(point);
    flat.push(x, y);
  }
  return flatRing(flat, text);
}

/** An object of parts, each an outline with its holes. Parts that are no area are left out. */
export function outlined(
  object: Omit<DrawnObject, "outline">,
  parts: readonly (readonly RingOrSlip[])[],
  more: readonly Slip[] = [],
): DrawnObject {
  const polygons: Polygon[] = [];
  const slips = new Set<Slip>(more);
  let few = 0;
  for (const [outer, ...holes] of parts) {
    const rings = [outer, ...holes];
    if (rings.includes("broken")) return { ...object, slips: [...more, "broken"] };
    if (outer === undefined || outer === "fewPoints") few++;
    else polygons.push(rings.filter((ring) => typeof ring !== "string") as Polygon);
  }
  if (polygons.length === 0) return { ...object, slips: [...more, "fewPoints"] };
  if (few > 0) slips.add("partLost");
  const outline: Outline = { polygons };
  return { ...object, outline, ...(slips.size > 0 && { slips: [...slips] }) };
}

/** The corners of a rectangle between two opposite ones, turned by an angle about its centre. */
export function rectangle(x0: number, y0: number, x1: number, y1: number, angle = 0): Float64Array {
  const corners = [x0, y0, x1, y0, x1, y1, x0, y1];
  return angle === 0 ? Float64Array.from(corners) : turned(corners, (x0 + x1) / 2, (y0 + y1) / 2, angle);
}

const ELLIPSE_POINTS = 90;

/** An ellipse as a polygon: its area is too small by less than 0.1 %. */
export function ellipse(x: number, y: number, rx: number, ry: number, angle = 0): Float64Array {
  const flat: number[] = [];
  for (let i = 0; i < ELLIPSE_POINTS; i++) {
    const t = (2 * Math.PI * i) / ELLIPSE_POINTS;
    flat.push(x + rx * Math.cos(t), y + ry * Math.sin(t));
  }
  return turned(flat, x, y, angle);
}

function turned(flat: readonly number[], x: number, y: number, angle: number): Float64Array {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return Float64Array.from(flat, (value, i) => {
    const [dx, dy] = i % 2 === 0 ? [value - x, (flat[i + 1] as number) - y] : [(flat[i - 1] as number) - x, value - y];
    return i % 2 === 0 ? x + dx * cos - dy * sin : y + dx * sin + dy * cos;
  });
}
