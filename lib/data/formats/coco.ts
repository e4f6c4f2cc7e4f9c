/** COCO instances: one JSON file for many images, with objects as polygons, run lengths or compressed run lengths. */
import type { AnnotationFile, DrawnObject, Slip } from "../objects.js";
import { isObject, type Json, listOf, numberOf } from "./json.js";
import { annotation } from "./limits.js";
import { flatRing, outlined } from "./rings.js";
import { rowsOfRuns, unpackCounts } from "./rle.js";

export function isCoco(root: unknown): root is Json {
  return isObject(root) && Array.isArray(root.images) && (Array.isArray(root.annotations) || root.annotations === undefined);
}

/** The boxes around all run lengths of an image may cover it so many times. */
const MOST_LAYERS = 16;

interface CocoImage {
  /** As in the file; may contain folders. */
  fileName: string;
  height?: number;
  width?: number;
  annotations: Json[];
}

/** Ids are compared as text: some tools write "1" where others write 1. */
const idOf = (value: unknown) => (typeof value === "string" || typeof value === "number" ? String(value).trim() : undefined);

/** @throws CellsamError ERR_ANNOTATION */
export function parseCoco(root: Json): AnnotationFile {
  const categories = new Map<string | undefined, string>();
  for (const category of listOf(root.categories))
    if (isObject(category)) categories.set(idOf(category.id), String(category.name));
  const byId = new Map<string | undefined, CocoImage>();
  const slips = { nameless: 0, stray: [] as string[] };
  for (const entry of listOf(root.images)) {
    if (!isObject(entry) || typeof entry.file_name !== "string" || entry.file_name === "") {
      slips.nameless++;
      continue;
    }
    const id = idOf(entry.id);
    if (byId.has(id)) throw annotation(`two images have the id ${String(id)}`);
    byId.set(id, { fileName: entry.file_name, ...sizeOf(entry), annotations: [] });
  }
  const annotations = listOf(root.annotations);
  for (const [i, entry] of annotations.entries()) {
    const image = isObject(entry) ? byId.get(idOf(entry.image_id)) : undefined;
    if (image) image.annotations.push(entry as Json);
    else slips.stray.push(isObject(entry) ? String(entry.id ?? i + 1) : String(i + 1));
  }
  const few = slips.stray.slice(0, 5).join(", ") + (slips.stray.length > 5 ? ", ..." : "");
  const stray = `${slips.stray.length} of ${annotations.length} annotations belong to no image of the file (annotation ${few})`;
  if (slips.stray.length * 2 > annotations.length)
    throw annotation(`${stray}: their image_id must be the id of an entry of \`images\``);
  const notes = [
    ...(slips.stray.length > 0 ? [`${stray}; they were left out`] : []),
    ...(slips.nameless > 0 ? [`${slips.nameless} entries of \`images\` have no file_name; they were left out`] : []),
  ];
  const names = [...categories.values()];
  return {
    images: [...byId.values()].map(({ annotations: _, ...image }) => image),
    notes,
    drawing: (item, size) => {
      const image = [...byId.values()].find(({ fileName }) => fileName === item);
      if (!image) throw annotation(`it has no image ${item}`);
      const declared = image.height && image.width ? ([image.height, image.width] as const) : size;
      if (!declared) throw annotation(`the image ${image.fileName} has no height and width`);
      let searched = 0;
      const spend = (pixels: number) => {
        searched += pixels;
        if (searched > MOST_LAYERS * declared[0] * declared[1]) throw annotation("its run lengths have too many pixels");
      };
      const objects = image.annotations.map((entry, i) =>
        drawn(entry, `annotation ${idOf(entry.id) ?? i + 1}`, categories.get(idOf(entry.category_id)), declared, spend),
      );
      return { objects, size: declared, categories: names };
    },
  };
}

function sizeOf({ height, width }: Json): { height?: number; width?: number } {
  const text = { found: false };
  const [h, w] = [numberOf(height, text), numberOf(width, text)];
  return Number.isSafeInteger(h) && Number.isSafeInteger(w) && (h as number) > 0 && (w as number) > 0
    ? { height: h as number, width: w as number }
    : {};
}

function drawn(
  entry: Json,
  name: string,
  category: string | undefined,
  size: readonly [number, number],
  spend: (pixels: number) => void,
): DrawnObject {
  const text = { found: false };
  const crowd = entry.iscrowd === true || numberOf(entry.iscrowd, text) === 1;
  const box = listOf(entry.bbox).map((value) => numberOf(value, text));
  const object: DrawnObject = {
    name,
    ...(category !== undefined && { category, categoryId: idOf(entry.category_id) as string }),
    ...(crowd && { ignore: true }),
    ...(box.length === 4 && box.every((value) => value !== undefined) && { box: box as [number, number, number, number] }),
  };
  const { segmentation } = entry;
  const missing: Slip = object.box ? "boxOnly" : "broken";
  const withText = (other: DrawnObject): DrawnObject =>
    text.found ? { ...other, slips: [...(other.slips ?? []), "textNumber"] } : other;
  if (segmentation === undefined || segmentation === null || (Array.isArray(segmentation) && segmentation.length === 0))
    return withText({ ...object, slips: [missing] });
  if (Array.isArray(segmentation)) {
    // Several polygons are parts of one object, not holes. Some tools leave out the outer list where there is one polygon.
    const rings = segmentation.some(Array.isArray) ? segmentation : [segmentation];
    const sound = rings.filter((ring) => !Array.isArray(ring) || ring.length > 0);
    if (sound.length === 0) return withText({ ...object, slips: [missing] });
    return withText(
      outlined(
        object,
        sound.map((ring) => [flatRing(listOf(ring), text)]),
      ),
    );
  }
  if (!isObject(segmentation)) return withText({ ...object, slips: [missing] });
  const [height, width] = listOf(segmentation.size).map((value) => numberOf(value, text));
  const { counts } = segmentation;
  try {
    if (height !== size[0] || width !== size[1] || (typeof counts !== "string" && !Array.isArray(counts)))
      return withText({ ...object, slips: ["broken"] });
    return withText({
      ...object,
      outline: { rows: rowsOfRuns(typeof counts === "string" ? unpackCounts(counts) : counts, size, spend) },
    });
  } catch {
    return withText({ ...object, slips: ["broken"] });
  }
}
