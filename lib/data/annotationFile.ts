/** Opens files that list objects: tells their kind by their content, and turns the objects of an image into its label map. */
import { statSync } from "node:fs";
import { extname } from "node:path";
import { bytesOf, named } from "./file.js";
import { isCoco, parseCoco } from "./formats/coco.js";
import { isGeojson, parseGeojson } from "./formats/geojson.js";
import { type Json, parseJson } from "./formats/json.js";
import { annotation, checkSize } from "./formats/limits.js";
import { DEFAULT_MAX_PIXELS, type LabelMap, type LabelOptions, type ObjectKind } from "./image.js";
import { objectsToLabels } from "./objectRules.js";
import type { AnnotationFile } from "./objects.js";

/** What a file of objects is, without its objects. */
export interface Survey {
  /** Absent where the content is of no kind that is known. */
  kind?: ObjectKind;
  /** The images of a file of several, by their names in the file. */
  images?: { fileName: string }[];
  notes: string[];
}

/** A kind of file: how it is known, and how it is read. `open` is called with what `parse` returned. */
interface Kind {
  extensions: readonly string[];
  is: (content: unknown, path: string) => boolean;
  open: (content: never, path: string) => AnnotationFile;
}

const kinds: Partial<Record<ObjectKind, Kind>> = {
  coco: { extensions: [".json"], is: isCoco, open: (root: Json) => parseCoco(root) },
  geojson: { extensions: [".json", ".geojson"], is: isGeojson, open: (root: unknown) => parseGeojson(root) },
};

/** Extensions of files that may list objects, lower case. */
export const OBJECT_EXTENSIONS: ReadonlySet<string> = new Set(Object.values(kinds).flatMap(({ extensions }) => extensions));

/** What the file holds, before it is known which kind it is. */
function parse(path: string, bytes: Buffer): unknown {
  return parseJson(bytes, /\.geojson$/i.test(path) ? "GeoJSON" : "JSON");
}

interface Opened {
  /** Absent where the content is of no kind that is known. */
  kind?: ObjectKind;
  file?: AnnotationFile;
}

/**
 * Opens a file of objects; its extension says how it is parsed, its content what it is.
 * @throws CellsamError ERR_ANNOTATION
 */
export function openObjects(path: string, bytes: Buffer): Opened {
  const content = parse(path, bytes);
  const extension = extname(path).toLowerCase();
  for (const [kind, { extensions, is, open }] of Object.entries(kinds) as [ObjectKind, Kind][]) {
    if (extensions.includes(extension) && is(content, path)) return { kind, file: open(content as never, path) };
  }
  return {};
}

/**
 * The label map of one image from a file of objects.
 * @throws CellsamError ERR_ANNOTATION
 */
export function objectLabels({ kind, file }: Opened, options: LabelOptions): LabelMap {
  if (!file || kind !== options.annotation)
    throw annotation(`it is ${kind ?? "no annotation that is known"}, where ${options.annotation} was expected`);
  const drawing = file.drawing(options.item, options.size);
  const size = drawing.size ?? options.size;
  if (!size) throw annotation("it does not say how large the image is: give `size`");
  checkSize(size[0], size[1], options.maxPixels ?? DEFAULT_MAX_PIXELS);
  return objectsToLabels(drawing, size, options);
}

/** The file that was opened last: a file of many images is parsed once. */
let latest: { key: string; opened: Opened } | undefined;

function open(path: string, maxPixels: number): Opened {
  const { mtimeMs, size, ino } = statSync(path);
  const key = JSON.stringify([path, mtimeMs, size, ino]);
  if (latest?.key !== key) latest = { key, opened: openObjects(path, bytesOf(path, maxPixels)) };
  return latest.opened;
}

/** @throws CellsamError as objectLabels, and ERR_FILE */
export function readObjectFile(path: string, options: LabelOptions): LabelMap {
  return objectLabels(open(path, options.maxPixels ?? DEFAULT_MAX_PIXELS), options);
}

/** @throws CellsamError ERR_ANNOTATION for a file that cannot be parsed, ERR_FILE */
export function surveyAnnotation(path: string, maxPixels = DEFAULT_MAX_PIXELS): Promise<Survey> {
  return named(path, () => {
    const { kind, file } = open(path, maxPixels);
    return {
      ...(kind && { kind }),
      ...(file?.images && { images: file.images.map(({ fileName }) => ({ fileName })) }),
      notes: file?.notes ?? [],
    };
  });
}
