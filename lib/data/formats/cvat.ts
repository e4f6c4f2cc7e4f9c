/** CVAT's XML "for images 1.1": one file for many images, with polygons, boxes, ellipses and masks. */
import { lazily } from "../../lazily.js";
import type { AnnotationFile, DrawnObject, Slip } from "../objects.js";
import { isObject, type Json, listOf, numberOf } from "./json.js";
import { annotation } from "./limits.js";
import { ellipse, flatRing, outlined, type RingOrSlip, rectangle } from "./rings.js";

const xml = lazily<typeof import("fast-xml-parser")>("fast-xml-parser");

const LISTS = new Set(["image", "track", "label", "polygon", "polyline", "points", "box", "ellipse", "mask", "cuboid"]);

/** @throws CellsamError ERR_ANNOTATION for what is no XML, and for entities that a file declares itself */
export function parseXml(text: string): unknown {
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw annotation("it is XML that declares entities of its own, which is refused");
  try {
    const parser = new (xml().XMLParser)({
      ignoreAttributes: false,
      attributeNamePrefix: "@",
      parseTagValue: false,
      parseAttributeValue: false,
      isArray: (name) => LISTS.has(name),
    });
    return parser.parse(text, true);
  } catch (error) {
    throw annotation(`the XML cannot be parsed (${(error as Error).message})`);
  }
}

export function isCvat(root: unknown): root is Json {
  return (
    isObject(root) &&
    isObject(root.annotations) &&
    ("image" in root.annotations || "track" in root.annotations || "meta" in root.annotations)
  );
}

/** @throws CellsamError ERR_ANNOTATION for a file of tracks in a video */
export function parseCvat(root: Json): AnnotationFile {
  const file = root.annotations as Json;
  if (!Array.isArray(file.image) && Array.isArray(file.track))
    throw annotation('it is CVAT\'s XML for videos, with tracks; export "CVAT for images 1.1"');
  const images = listOf(file.image).filter(isObject);
  const categories = labelsOf(file.meta, 0);
  return {
    images: images.map((image) => ({ fileName: String(image["@name"] ?? "") })),
    drawing: (item) => {
      const image = images.find((one) => String(one["@name"] ?? "") === item);
      if (!image) throw annotation(`it has no image ${item}`);
      const [height, width] = [whole(image["@height"]), whole(image["@width"])];
      const size = height && width ? ([height, width] as const) : undefined;
      return { objects: objectsOf(image), categories, ...(size && { size }) };
    },
  };
}

const whole = (value: unknown) => {
  const number = numberOf(value, { found: false });
  return Number.isSafeInteger(number) ? number : undefined;
};

/** Names of the labels that a task, job or project declares. */
function labelsOf(meta: unknown, depth: number): string[] {
  if (!isObject(meta) || depth > 3) return [];
  const own = listOf(isObject(meta.labels) ? meta.labels.label : undefined).filter(isObject);
  const names = own.map(({ name }) => String(name));
  return [...names, ...["task", "job", "project"].flatMap((part) => labelsOf(meta[part], depth + 1))];
}

/** The objects of an image. XML groups them by kind; within a kind they are in the order of the file. */
function objectsOf(image: Json): DrawnObject[] {
  const objects: DrawnObject[] = [];
  for (const kind of ["polygon", "mask", "ellipse", "box", "polyline", "points", "cuboid"] as const) {
    for (const [i, shape] of listOf(image[kind]).entries()) {
      if (!isObject(shape)) continue;
      const label = shape["@label"];
      const object: DrawnObject = { name: `${kind} ${i + 1}`, ...(typeof label === "string" && { category: label }) };
      objects.push(kind === "mask" ? masked(object, shape) : shaped(object, kind, shape));
    }
  }
  return objects;
}

function shaped(object: DrawnObject, kind: string, shape: Json): DrawnObject {
  // All numbers of XML are text.
  const number = (name: string) => numberOf(shape[`@${name}`], { found: false });
  const turned = ((number("rotation") ?? 0) * Math.PI) / 180;
  let ring: RingOrSlip;
  const slips: Slip[] = [];
  if (kind === "polygon") ring = flatRing(String(shape["@points"] ?? "").split(/[;,]/), { found: false });
  else if (kind === "box") {
    const [x0, y0, x1, y1] = ["xtl", "ytl", "xbr", "ybr"].map(number);
    const known = x0 !== undefined && y0 !== undefined && x1 !== undefined && y1 !== undefined;
    ring = known ? rectangle(x0, y0, x1, y1, turned) : "broken";
    slips.push("rectangle");
  } else if (kind === "ellipse") {
    const [x, y, rx, ry] = ["cx", "cy", "rx", "ry"].map(number);
    const known = x !== undefined && y !== undefined && rx !== undefined && ry !== undefined;
    ring = known ? ellipse(x, y, rx, ry, turned) : "broken";
  } else return { ...object, slips: ["noArea"] };
  return outlined(object, [[ring]], slips);
}

/** A mask of more rows is none. */
const MOST_ROWS = 2 ** 20;

/** Run lengths along the rows of the mask's own box, of 0 and 1 in turn. */
function masked(object: DrawnObject, shape: Json): DrawnObject {
  const [left, top, width, height] = ["left", "top", "width", "height"].map((name) => whole(shape[`@${name}`]));
  const counts = String(shape["@rle"] ?? "")
    .split(",")
    .map((count) => whole(count));
  const sum = counts.reduce<number>((total, count) => total + (count !== undefined && count >= 0 ? count : Number.NaN), 0);
  const known = left !== undefined && top !== undefined && width !== undefined && height !== undefined && width > 0;
  if (!known || !(sum <= width * height) || height > MOST_ROWS) return { ...object, slips: ["broken"] };
  const rows: number[] = [];
  let at = 0;
  for (const [i, count = 0] of counts.entries()) {
    for (let from = at; i % 2 === 1 && from < at + count; ) {
      const row = Math.floor(from / width);
      const end = Math.min(at + count, (row + 1) * width);
      rows.push(top + row, left + (from % width), left + (end - row * width));
      from = end;
    }
    at += count;
  }
  return { ...object, outline: { rows: Int32Array.from(rows) } };
}
