/** GeoJSON as QuPath writes it: one file per image, polygons in pixels from the top left corner of the image. */

import type { LabelMap } from "../image.js";
import { fillPolygon, type Polygon, paint, type Shape } from "../raster.js";
import { isObject, type Json, listOf, parseObject } from "./json.js";
import { annotation } from "./limits.js";

const CELLS = new Set(["cell", "detection"]);

/**
 * Paints the features of a FeatureCollection, a list of features or one feature. Polygon and MultiPolygon, with holes; ids 1..N
 * in file order, later objects on top. A class whose name ends in "*" (QuPath's "Ignore*") is an ignore region. Where the file
 * has cells or detections, its other annotations only outline regions and are left out, with a note.
 *
 * @param shape [height, width] of the image, which the file does not contain
 * @throws CellsamError ERR_ANNOTATION
 */
export function readGeojson(bytes: Uint8Array, shape: readonly [number, number]): LabelMap {
  const notes: string[] = [];
  const features = featuresOf(bytes);
  const cells = features.some((feature) => CELLS.has(typeOf(feature)));
  const shapes: Shape[] = [];
  let outlines = 0;
  for (const [i, feature] of features.entries()) {
    const name = `feature ${i + 1}`;
    const ignore = isIgnored(feature);
    if (typeOf(feature) === "root") continue;
    if (cells && !ignore && !CELLS.has(typeOf(feature))) {
      outlines++;
      continue;
    }
    const polygons = polygonsOf(feature.geometry, name);
    shapes.push({
      name,
      ignore,
      fill: (run) => {
        for (const polygon of polygons) fillPolygon(polygon, shape, run);
      },
    });
  }
  if (outlines > 0) notes.push(`${outlines} annotations around the cells were left out`);
  return paint(shapes, shape, notes);
}

function featuresOf(bytes: Uint8Array): Json[] {
  // QuPath can also write a plain list of features.
  const start = bytes.findIndex((byte) => byte > 32);
  const list = bytes[start] === 0x5b;
  const root = list
    ? parseObject(Buffer.concat([Buffer.from('{"features":'), bytes, Buffer.from("}")]), "GeoJSON")
    : parseObject(bytes, "GeoJSON");
  if (root.type === "Feature") return [root];
  if (!list && root.type !== "FeatureCollection") throw annotation("it is not GeoJSON: it must be a FeatureCollection");
  const features = listOf(root.features);
  if (!Array.isArray(root.features) || !features.every(isObject)) throw annotation("its `features` must be a list of features");
  return features as Json[];
}

function typeOf({ properties }: Json): string {
  return isObject(properties) ? String(properties.objectType ?? properties.object_type ?? "") : "";
}

function isIgnored({ properties }: Json): boolean {
  const classification = isObject(properties) ? properties.classification : undefined;
  if (typeof classification === "string") return classification.endsWith("*");
  if (!isObject(classification)) return false;
  const names = [classification.name, ...listOf(classification.names)];
  return names.some((name) => typeof name === "string" && name.endsWith("*"));
}

function polygonsOf(geometry: unknown, name: string): Polygon[] {
  if (!isObject(geometry)) throw annotation(`${name} has no geometry`);
  const { type, coordinates } = geometry;
  const groups = type === "Polygon" ? [coordinates] : type === "MultiPolygon" ? coordinates : undefined;
  if (groups === undefined) throw annotation(`${name} is a ${String(type)}; cells are Polygon or MultiPolygon`);
  if (!Array.isArray(groups) || groups.length === 0) throw annotation(`${name} has no coordinates`);
  return groups.map((rings: unknown) => {
    if (!Array.isArray(rings) || rings.length === 0) throw annotation(`${name} has no coordinates`);
    return rings.map((ring) => ringOf(ring, name));
  });
}

function ringOf(ring: unknown, name: string): Float64Array {
  const points = listOf(ring);
  if (points.length < 3) throw annotation(`${name} has an outline of ${points.length} points; it takes at least 3`);
  const out = new Float64Array(points.length * 2);
  for (const [i, point] of points.entries()) {
    const [x, y] = listOf(point);
    if (typeof x !== "number" || typeof y !== "number") throw annotation(`${name} has a point that is not [x, y]`);
    out[2 * i] = x;
    out[2 * i + 1] = y;
  }
  return out;
}
