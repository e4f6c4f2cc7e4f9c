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
