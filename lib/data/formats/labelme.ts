/** LabelMe: one JSON file per image, with shapes in pixels. The picture that it may contain is not read. */
import type { AnnotationFile, DrawnObject } from "../objects.js";
import { rowsOfMap } from "../raster.js";
import { isObject, type Json, listOf, numberOf } from "./json.js";
import { readPng } from "./png.js";
import { ellipse, outlined, pointRing, type RingOrSlip, rectangle } from "./rings.js";

export function isLabelme(root: unknown): root is Json {
  return isObject(root) && Array.isArray(root.shapes) && root.shapes.every((shape) => isObject(shape) && "points" in shape);
}

const MOST_PIXELS = 2 ** 26;

/** Shapes of one label and one group_id are parts of one object. The label __ignore__ marks a region to ignore. */
export function parseLabelme(root: Json): AnnotationFile {
  const objects: DrawnObject[] = [];
  const groups = new Map<string, { object: DrawnObject; parts: RingOrSlip[][] }>();
  for (const [i, shape] of listOf(root.shapes).entries()) {
    const { label, group_id: group, shape_type: type = "polygon", points } = shape as Json;
    const text = { found: false };
    const object: DrawnObject = { name: `shape ${i + 1}` };
    if (label === "__ignore__") object.ignore = true;
    else if (typeof label === "string" && label !== "") object.category = label;
    if (type === "mask") {
      objects.push(masked(object, shape as Json, text));
      continue;
    }
    const parts = ringsOf(String(type), points, text);
    if (parts === undefined) {
      objects.push({ ...object, slips: ["noArea"] });
      continue;
    }
    const more = text.found ? (["textNumber"] as const) : [];
    if (type === "rectangle") object.slips = ["rectangle"];
    const key = JSON.stringify([label, group]);
    const own = groups.get(key);
    if (group !== null && group !== undefined && own) {
      own.parts.push(parts);
      Object.assign(own.object, outlined(own.object, own.parts, more));
      continue;
    }
    const drawn = outlined(object, [parts], [...(object.slips ?? []), ...more]);
    objects.push(drawn);
    if (group !== null && group !== undefined) groups.set(key, { object: drawn, parts: [parts] });
  }
  const [height, width] = [root.imageHeight, root.imageWidth].map((side) => numberOf(side, { found: false }));
  const size =
    Number.isSafeInteger(height) && Number.isSafeInteger(width) ? ([height as number, width as number] as const) : undefined;
  return { drawing: () => ({ objects, ...(size && size[0] > 0 && size[1] > 0 && { size }) }) };
}

/** A mask is a PNG of the rectangle between two points. */
function masked(object: DrawnObject, { mask, points }: Json, text: { found: boolean }): DrawnObject {
  const [x, y] = listOf(listOf(points)[0]).map((value) => numberOf(value, text));
  if (typeof mask !== "string" || x === undefined || y === undefined) return { ...object, slips: ["broken"] };
  try {
    const { data, shape } = readPng(Buffer.from(mask, "base64"), MOST_PIXELS);
    const rows = rowsOfMap(data, [shape[0] as number, shape[1] as number]);
    const [left, top] = [Math.round(x), Math.round(y)];
    return { ...object, outline: { rows: rows.map((value, i) => value + (i % 3 === 0 ? top : left)) } };
  } catch {
    return { ...object, slips: ["broken"] };
  }
}

/** The outline of a shape; undefined for points, lines, and shapes that are not known. */
function ringsOf(type: string, points: unknown, text: { found: boolean }): RingOrSlip[] | undefined {
  if (type === "polygon" || type === "rotation") return [pointRing(points, text)];
  const [first, second] = listOf(points).map((point) => listOf(point).map((value) => numberOf(value, text)));
  const [x0, y0] = first ?? [];
  const [x1, y1] = second ?? [];
  if (type !== "rectangle" && type !== "circle") return undefined;
  // Newer versions write the four corners of a rectangle.
  if (type === "rectangle" && listOf(points).length > 2) return [pointRing(points, text)];
  if (x0 === undefined || y0 === undefined || x1 === undefined || y1 === undefined) return ["broken"];
  if (type === "rectangle") return [rectangle(x0, y0, x1, y1)];
  const radius = Math.hypot(x1 - x0, y1 - y0);
  return [ellipse(x0, y0, radius, radius)];
}
