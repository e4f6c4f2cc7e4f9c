/** COCO instances: one JSON file for many images, with objects as polygons, run lengths or compressed run lengths. */
import { basename, extname } from "node:path";
import type { LabelMap } from "../image.js";
import { fillPolygon, paint, type Shape } from "../raster.js";
import { isObject, type Json, listOf, parseObject } from "./json.js";
import { annotation } from "./limits.js";
import { fillRuns, unpackCounts } from "./rle.js";

export interface CocoFile {
  images: CocoImage[];
  /** Names of the categories, in file order. */
  categories: string[];
}

export interface CocoImage {
  /** As in the file; may contain folders. */
  fileName: string;
  height: number;
  width: number;
  /** Annotations of this image, as in the file. */
  annotations: Json[];
}

interface Parsed extends CocoFile {
  nameOf: Map<unknown, string>;
}

/** @throws CellsamError ERR_ANNOTATION */
export function parseCoco(bytes: Uint8Array): Parsed {
  const root = parseObject(bytes, "COCO JSON");
  if (!Array.isArray(root.images) || !Array.isArray(root.annotations))
    throw annotation("it is not COCO JSON of instances: it needs the lists `images` and `annotations`");
  const nameOf = new Map<unknown, string>();
  for (const category of listOf(root.categories)) if (isObject(category)) nameOf.set(category.id, String(category.name));
  const byId = new Map<unknown, CocoImage>();
  for (const entry of root.images as unknown[]) {
    if (!isObject(entry) || typeof entry.file_name !== "string" || entry.file_name === "")
      throw annotation("an entry of `images` has no file_name");
    const { id, file_name: fileName, height, width } = entry;
    if (byId.has(id)) throw annotation(`two images have the id ${String(id)}`);
    if (!isSide(height) || !isSide(width)) throw annotation(`the image ${fileName} has no height and width`);
    byId.set(id, { fileName, height, width, annotations: [] });
  }
  for (const [i, entry] of (root.annotations as unknown[]).entries()) {
    const image = isObject(entry) ? byId.get(entry.image_id) : undefined;
    if (!image) throw annotation(`annotation ${i + 1} belongs to no image of the file`);
    image.annotations.push(entry as Json);
  }
  return { images: [...byId.values()], categories: [...nameOf.values()], nameOf };
}

const isSide = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;

/** Name without folders and extension, as images are paired. */
export function cocoStem(fileName: string): string {
  const name = basename(fileName.replaceAll("\\", "/"));
  return name
    .slice(0, name.length - extname(name).length)
    .replace(/\.ome$/i, "")
    .normalize("NFC");
}

/**
 * Paints the objects of one image: ids 1..N in file order, later ones on top; `iscrowd: 1` is an ignore region.
 *
 * @param categories names of the categories whose objects are cells. Default: all
 * @throws CellsamError ERR_ANNOTATION
 */
export function paintCoco(file: Parsed, fileName: string, categories?: readonly string[]): LabelMap {
  const image = file.images.find((entry) => entry.fileName === fileName);
  if (!image) throw annotation(`it has no image ${fileName}`);
  const wanted = categories && new Set(categories);
  const unknown = categories?.filter((name) => !file.categories.includes(name)) ?? [];
  if (unknown.length > 0)
    throw annotation(`it has no category ${unknown.join(", ")}; there are ${file.categories.join(", ") || "none"}`);
  const size = [image.height, image.width] as const;
  const shapes: Shape[] = [];
  for (const entry of image.annotations) {
    if (wanted && !wanted.has(file.nameOf.get(entry.category_id) ?? "")) continue;
    const name = `annotation ${String(entry.id)}`;
    const ignore = entry.iscrowd === 1 || entry.iscrowd === true;
    shapes.push({ name, ignore, fill: filler(entry.segmentation, size, name) });
  }
  return paint(shapes, size);
}

function filler(segmentation: unknown, size: readonly [number, number], name: string): Shape["fill"] {
  if (Array.isArray(segmentation)) {
    const sound = segmentation.every(
      (ring) =>
        Array.isArray(ring) && ring.length >= 6 && ring.length % 2 === 0 && ring.every((value) => Number.isFinite(value)),
    );
    if (!sound || segmentation.length === 0)
      throw annotation(`${name} has a polygon that is not [x, y, x, y, ...] of at least 3 points`);
    // Several polygons are parts of one object, not holes.
    return (run) => {
      for (const ring of segmentation) fillPolygon([ring], size, run);
    };
  }
  if (!isObject(segmentation)) throw annotation(`${name} has no segmentation`);
  const [height, width] = listOf(segmentation.size);
  if (height !== size[0] || width !== size[1])
    throw annotation(
      `${name} has run lengths for ${String(height)} x ${String(width)} pixels, its image has ${size.join(" x ")}`,
    );
  const { counts } = segmentation;
  if (typeof counts !== "string" && !Array.isArray(counts)) throw annotation(`${name} has no run lengths`);
  return (run) => fillRuns(typeof counts === "string" ? unpackCounts(counts) : counts, size, run);
}
