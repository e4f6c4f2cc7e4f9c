/** GeoJSON as QuPath writes it: one file per image, polygons in pixels from the top left corner of the image. */
import type { AnnotationFile, DrawnObject } from "../objects.js";
import { isObject, type Json, listOf } from "./json.js";
import { annotation } from "./limits.js";
import { outlined, pointRing, type RingOrSlip } from "./rings.js";

const CELLS = new Set(["cell", "detection", "tile"]);
/** Collections in collections: deeper ones are of no use to anyone. */
const DEEPEST = 8;

/** A FeatureCollection, one feature, or a plain list of features, which QuPath can also write. */
export function isGeojson(root: unknown): boolean {
  if (Array.isArray(root))
    return root.length > 0 && root.slice(0, 10).every((entry) => isObject(entry) && entry.type === "Feature");
  return isObject(root) && (root.type === "FeatureCollection" || root.type === "Feature");
}

/**
 * A class whose name ends in "*" (QuPath's "Ignore*") is a region to ignore. Where the file has cells or detections, its other
 * annotations only outline regions.
 *
 * @throws CellsamError ERR_ANNOTATION
 */
export function parseGeojson(root: unknown): AnnotationFile {
  const list = Array.isArray(root) ? root : isObject(root) && root.type === "Feature" ? [root] : (root as Json)?.features;
  if (!Array.isArray(list)) throw annotation("its `features` must be a list of features");
  const cells = list.some((feature) => CELLS.has(typeOf(feature)));
  const objects: DrawnObject[] = [];
  for (const [i, feature] of list.entries()) {
    const name = `feature ${i + 1}`;
    if (!isObject(feature)) {
      objects.push({ name, slips: ["broken"] });
      continue;
    }
    if (typeOf(feature) === "root") continue;
    const category = classOf(feature);
    const ignore = category?.endsWith("*") ?? false;
    const object: DrawnObject = {
      name,
      ...(ignore && { ignore }),
      ...(category !== undefined && !ignore && { category }),
      ...(cells && !ignore && !CELLS.has(typeOf(feature)) && { region: true }),
    };
    const nucleus = isObject(feature.nucleusGeometry) ? withOutline({ name }, feature.nucleusGeometry).outline : undefined;
    objects.push(withOutline({ ...object, ...(nucleus && { nucleus }) }, feature.geometry));
  }
  return { drawing: () => ({ objects }) };
}

function typeOf(feature: unknown): string {
  const properties = isObject(feature) ? feature.properties : undefined;
  return isObject(properties) ? String(properties.objectType ?? properties.object_type ?? "") : "";
}

/** Name of the class: QuPath writes an object with `name`, or with `names` where classes are derived from others. */
function classOf({ properties }: Json): string | undefined {
  const classification = isObject(properties) ? properties.classification : undefined;
  if (typeof classification === "string") return classification;
  if (!isObject(classification)) return undefined;
  const names = listOf(classification.names).filter((name) => typeof name === "string");
  if (typeof classification.name === "string") return classification.name;
  return names.length > 0 ? names.join(": ") : undefined;
}

function withOutline(object: DrawnObject, geometry: unknown): DrawnObject {
  const text = { found: false };
  const parts: RingOrSlip[][] = [];
  let other = false;
  const collect = (part: unknown, depth: number): void => {
    if (!isObject(part)) return;
    const { type, coordinates, geometries } = part;
    if (type === "GeometryCollection" && depth < DEEPEST) for (const inner of listOf(geometries)) collect(inner, depth + 1);
    else if (type === "Polygon" || type === "MultiPolygon") {
      const polygons = type === "Polygon" ? [coordinates] : listOf(coordinates);
      for (const rings of polygons) parts.push(listOf(rings).map((ring) => pointRing(openRing(ring), text)));
    } else other = true;
  };
  collect(geometry, 0);
  if (parts.length === 0) return { ...object, slips: [other ? "noArea" : "broken"] };
  const done = outlined(object, parts);
  return text.found ? { ...done, slips: [...(done.slips ?? []), "textNumber"] } : done;
}

/** A ring without its last point where that repeats the first: two points and the first again are no area. */
function openRing(ring: unknown): unknown {
  const points = listOf(ring);
  const [first, last] = [listOf(points[0]), listOf(points.at(-1))];
  return points.length > 1 && first[0] === last[0] && first[1] === last[1] ? points.slice(0, -1) : ring;
}
