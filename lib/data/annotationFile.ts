/** Opens files that list objects: tells their kind by their content, and turns the objects of an image into its label map. */
import { statSync } from "node:fs";
import { basename, extname } from "node:path";
import { bytesOf, named } from "./file.js";
import { isCoco, parseCoco } from "./formats/coco.js";
import { isCvat, parseCvat, parseXml } from "./formats/cvat.js";
import { foreignKind } from "./formats/foreign.js";
import { isGeojson, parseGeojson } from "./formats/geojson.js";
import { isRoi, type NamedRoi, parseRois, roisOfZip } from "./formats/imagejRoi.js";
import { type Json, parseJson } from "./formats/json.js";
import { isLabelme, parseLabelme } from "./formats/labelme.js";
import { annotation, checkSize } from "./formats/limits.js";
import { isYolo, parseYolo } from "./formats/yolo.js";
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
  /** What it is, where it is known and not read. */
  foreign?: string;
}

/** A kind of file: how it is known, and how it is read. `open` is called with what `parse` returned. */
interface Kind {
  extensions: readonly string[];
  is: (content: unknown, path: string) => boolean;
  open: (content: never, path: string) => AnnotationFile;
}

const kinds: Record<ObjectKind, Kind> = {
  coco: { extensions: [".json"], is: isCoco, open: (root: Json) => parseCoco(root) },
  geojson: { extensions: [".json", ".geojson"], is: isGeojson, open: (root: unknown) => parseGeojson(root) },
  labelme: { extensions: [".json"], is: isLabelme, open: (root: Json) => parseLabelme(root) },
  cvat: { extensions: [".xml"], is: isCvat, open: (root: Json) => parseCvat(root) },
  yolo: { extensions: [".txt"], is: isYolo, open: (text: string, path) => parseYolo(text, path) },
  imagej_roi: {
    extensions: [".roi", ".zip"],
    is: (rois) => (rois as NamedRoi[]).length > 0,
    open: (rois: NamedRoi[]) => parseRois(rois),
  },
};

/** Extensions of files that may list objects, lower case. */
export const OBJECT_EXTENSIONS: ReadonlySet<string> = new Set(Object.values(kinds).flatMap(({ extensions }) => extensions));

const text = (bytes: Buffer) => new TextDecoder("utf-8", { fatal: false }).decode(bytes);

/** How the content of a file is read before it is known which kind it is, by its extension. */
const parsers: Record<string, (bytes: Buffer, path: string) => unknown> = {
  ".json": (bytes) => parseJson(bytes, "JSON"),
  ".geojson": (bytes) => parseJson(bytes, "GeoJSON"),
  ".xml": (bytes) => parseXml(text(bytes)),
  ".txt": (bytes) => text(bytes),
  ".roi": (bytes, path) => (isRoi(bytes) ? [{ name: basename(path).replace(/\.roi$/i, ""), bytes }] : []),
  ".zip": (bytes) => roisOfZip(bytes),
};

interface Opened {
  /** Absent where the content is of no kind that is known. */
  kind?: ObjectKind;
  file?: AnnotationFile;
  /** What it is, where it is known and not read. */
  foreign?: string;
}

/**
 * Opens a file of objects; its extension says how it is parsed, its content what it is.
 * @throws CellsamError ERR_ANNOTATION
 */
export async function openObjects(path: string, bytes: Buffer): Promise<Opened> {
  const extension = extname(path).toLowerCase();
  const content = await parsers[extension]?.(bytes, path);
  for (const [kind, { extensions, is, open }] of Object.entries(kinds) as [ObjectKind, Kind][]) {
    if (extensions.includes(extension) && is(content, path)) return { kind, file: open(content as never, path) };
  }
  const foreign = foreignKind(content);
  return foreign === undefined ? {} : { foreign };
}

/**
 * The label map of one image from a file of objects.
 * @throws CellsamError ERR_ANNOTATION
 */
export function objectLabels({ kind, file, foreign }: Opened, options: LabelOptions): LabelMap {
  if (!file || kind !== options.annotation)
    throw annotation(`it is ${kind ?? foreign ?? "no annotation that is known"}, where ${options.annotation} was expected`);
  const drawing = file.drawing(options.item, options.size, typeof options.slice === "number" ? options.slice : undefined);
  const size = drawing.size ?? options.size;
  if (!size) throw annotation("it does not say how large the image is: give `size`");
  checkSize(size[0], size[1], options.maxPixels ?? DEFAULT_MAX_PIXELS);
  return objectsToLabels(drawing, size, options);
}

/** The text of an image without cells is empty; every other file that is empty is damaged. */
function contentOf(path: string, maxPixels: number): Buffer {
  return /\.txt$/i.test(path) && statSync(path).size === 0 ? Buffer.alloc(0) : bytesOf(path, maxPixels);
}

/** The file that was opened last: a file of many images is parsed once. */
let latest: { key: string; opened: Promise<Opened> } | undefined;

function open(path: string, maxPixels: number): Promise<Opened> {
  const { mtimeMs, size, ino } = statSync(path);
  const key = JSON.stringify([path, mtimeMs, size, ino]);
  if (latest?.key !== key) latest = { key, opened: openObjects(path, contentOf(path, maxPixels)) };
  return latest.opened;
}

/** @throws CellsamError as objectLabels, and ERR_FILE */
export async function readObjectFile(path: string, options: LabelOptions): Promise<LabelMap> {
  return objectLabels(await open(path, options.maxPixels ?? DEFAULT_MAX_PIXELS), options);
}

/** @throws CellsamError ERR_ANNOTATION for a file that cannot be parsed, ERR_FILE */
export function surveyAnnotation(path: string, maxPixels = DEFAULT_MAX_PIXELS): Promise<Survey> {
  return named(path, async () => {
    const { kind, file, foreign } = await open(path, maxPixels);
    return {
      ...(kind && { kind }),
      ...(foreign && { foreign }),
      ...(file?.images && { images: file.images.map(({ fileName }) => ({ fileName })) }),
      notes: file?.notes ?? [],
    };
  });
}
