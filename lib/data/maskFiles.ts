/** Finds masks and annotations in a folder, and tells their kinds. */
import { stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import type { CellsamError } from "../errors.js";
import { OBJECT_EXTENSIONS } from "./annotationFile.js";
import { surveyObjects } from "./decode.js";
import { isFile, isFolder, isZarrFolder, listFolder } from "./folder.js";
import { type Annotation, OBJECT_KINDS } from "./image.js";
import { type ImageIndex, isSeg, itemStem, stemOf, withoutCompanion } from "./names.js";
import type { Problem } from "./problem.js";

/** A mask, or one image's entry in a file of several. */
export interface MaskFile {
  stem: string;
  path: string;
  annotation?: Annotation;
  /** Name of the image in the file. */
  item?: string;
}

export interface MaskFiles {
  masks: MaskFile[];
  problems: Problem[];
  notes: string[];
  /** Files of other types, and files whose content is of no kind that is known. */
  ignored: string[];
  /** Annotations that are not read, and what they are. */
  foreign: { path: string; what: string }[];
}

export function kindOf({ path, annotation }: MaskFile): Annotation {
  return annotation ?? (isSeg(path) ? "cellpose" : "label_images");
}

/**
 * The masks of a path.
 *
 * @param extensions of label images
 * @param beside label images among the images: images and masks are in one folder
 */
export async function maskFiles(
  path: string,
  extensions: readonly string[],
  images: ImageIndex,
  wanted: "auto" | Annotation,
  beside?: readonly MaskFile[],
): Promise<MaskFiles> {
  const out: MaskFiles = { masks: [], problems: [], notes: [], ignored: [], foreign: [] };
  if (await isZarrFolder(path)) return beside ? out : { ...out, masks: [zarrMask(path)] };
  if ((await isFile(path)) && !OBJECT_EXTENSIONS.has(extname(path).toLowerCase()))
    return { ...out, masks: [{ stem: stemOf(path), path }] };
  const single = await isFile(path);
  const listed = single ? { found: [], problems: [], others: [path] } : await listFolder(path, beside ? [] : extensions);
  if (!beside) out.problems = [...out.problems, ...listed.problems];
  // Cellpose's flows, and its outlines for other programs, are no masks where its masks are there.
  const labels = (beside ?? listed.found).map((file) => (isZarrName(file.path) ? zarrMask(file.path) : file));
  const ownerOf = (stem: string) => (withoutCompanion(stem) === stem ? undefined : images.find(withoutCompanion(stem)));
  const owners = new Set(labels.filter(({ stem }) => ownerOf(stem) === undefined).map(({ stem }) => images.find(stem)));
  const isCompanion = (stem: string) => {
    const owner = ownerOf(stem);
    return owner !== undefined && owners.has(owner) && wanted !== "imagej_roi";
  };
  // One by one: a call has no room for the arguments of a large folder.
  for (const file of labels) {
    if (isCompanion(file.stem)) out.ignored.push(file.path);
    else out.masks.push(file);
  }
  const candidates: string[] = [];
  for (const file of listed.others) {
    const folderStem = basename(file).normalize("NFC");
    const extension = extname(file).toLowerCase();
    if (isCompanion(stemOf(file))) out.ignored.push(file);
    else if (OBJECT_EXTENSIONS.has(extension) && (await isFile(file)) && !(await isEmptyNote(file, images)))
      candidates.push(file);
    else if (!isZarrName(file) && images.find(folderStem) !== undefined && (await isFolder(file)))
      out.masks.push({ stem: folderStem, path: file, annotation: "object_folders" });
    else if (!beside) out.ignored.push(file);
  }
  const asked = wanted === "auto" || OBJECT_KINDS.some((kind) => kind === wanted);
  if (asked) await Promise.all(candidates.map((file) => survey(file, single || wanted !== "auto", out)));
  else out.ignored = [...out.ignored, ...candidates];
  return oneKind(out, wanted, path);
}

const isZarrName = (path: string) => /\.zarr$/i.test(path);

const zarrMask = (path: string): MaskFile => ({ stem: stemOf(path), path, annotation: "ome_zarr" });

/** An empty text is an image without cells where it has the name of an image. */
async function isEmptyNote(path: string, images: ImageIndex): Promise<boolean> {
  return /\.txt$/i.test(path) && images.find(stemOf(path)) === undefined && (await stat(path)).size === 0;
}

/** Adds what a file of objects is for. One of no known kind is a problem only where it was named as the annotation. */
async function survey(path: string, named: boolean, out: MaskFiles): Promise<void> {
  try {
    const { kind, images, notes, foreign } = await surveyObjects(path);
    if (foreign) out.foreign.push({ path, what: foreign });
    if (kind === undefined && named) {
      out.problems.push({
        code: "ERR_ANNOTATION",
        path,
        message: foreign ? `it is of ${foreign}, which is not read` : "its content is of no kind of annotation that is read",
        fix: "export COCO, GeoJSON or label images; docs/formats.md lists all kinds",
      });
    } else if (kind === undefined) out.ignored.push(path);
    else if (images)
      out.masks.push(...images.map(({ fileName: item }) => ({ stem: itemStem(item), path, annotation: kind, item })));
    else out.masks.push({ stem: stemOf(path), path, annotation: kind });
    out.notes.push(...notes.map((note) => `${basename(path)}: ${note}`));
  } catch (error) {
    const { code, detail, message } = error as CellsamError;
    const reason = String(detail?.reason ?? message);
    out.problems.push({ code, path, message: reason, fix: "export the annotations again, or convert them" });
  }
}

/** The masks of one kind; several kinds in one folder are a problem unless the configuration chooses one. */
function oneKind(found: MaskFiles, wanted: "auto" | Annotation, path: string): MaskFiles {
  const kinds = [...new Set(found.masks.map(kindOf))];
  if (wanted !== "auto") {
    const others = found.masks.filter((mask) => kindOf(mask) !== wanted);
    found.ignored.push(...new Set(others.map((mask) => mask.path)));
    return { ...found, masks: found.masks.filter((mask) => kindOf(mask) === wanted) };
  }
  // A .npy of labels may be named a_seg or a_masks: its content decides how it is read.
  const mixed = kinds.filter((kind) => kind !== "cellpose" || !kinds.includes("label_images"));
  if (mixed.length <= 1) return found;
  const message = `holds annotations of several kinds (${kinds.join(", ")})`;
  const fix = `say which with annotation_format, such as ${kinds[0]}`;
  found.problems.push({ code: "ERR_ANNOTATION", path, message, fix });
  return { ...found, masks: [] };
}
