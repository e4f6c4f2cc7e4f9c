/** Pairs images and masks by file name. Files that cannot be paired are listed as problems, never skipped silently. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, relative, resolve } from "node:path";
import type { CellsamError, ErrorCode } from "../errors.js";
import { listCocoImages } from "./decode.js";
import type { Annotation } from "./image.js";
import { nearName } from "./nearNames.js";
import { compareBytes } from "./order.js";
import type { Problem } from "./problem.js";
import { EXTENSIONS } from "./reader.js";

export interface Pair {
  /** Name of the source image: its file name without extension (and without ".ome"), Unicode-composed. */
  source: string;
  /** Path of the image. */
  image: string;
  /** Absent when no mask path was given. A file, or a folder of one file per object. */
  mask?: string;
  /** How `mask` is to be read; absent for a label image. */
  annotation?: Annotation;
  /** Which image of a COCO file. */
  item?: string;
}

export interface DiscoverOptions {
  /** Folder of images, or one image file. */
  imgPath: string;
  /**
   * Folder of masks or annotations, one mask file, or a COCO JSON file. The same folder as imgPath is allowed when masks end in
   * one of MASK_SUFFIXES. Omit it to predict.
   */
  maskPath?: string;
  /** Extensions that count as images and as masks, with the dot, any case. Default: all that can be read. */
  imageExtensions?: readonly string[];
  maskExtensions?: readonly string[];
  /**
   * Kind of the annotations; other kinds in the folder are then ignored. Default "auto": the kind that is there, if there is
   * only one.
   */
  annotationFormat?: "auto" | Annotation;
}

export interface Discovered {
  /** Sorted by the UTF-8 bytes of their names: in the same order on every machine and in every locale. */
  pairs: Pair[];
  problems: Problem[];
  /** Files of other types, and subfolders, that are not used. */
  ignored: string[];
}

/** A mask is named as its image, or as its image plus one of these. */
export const MASK_SUFFIXES = ["_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg"] as const;

/** Image types that are not read: a file of these was meant to be data, so it is a problem and not ignored. */
const NOT_READ = new Set([".gif", ".webp", ".czi", ".lif", ".nd2", ".ndpi", ".svs", ".zarr"]);

interface Found {
  stem: string;
  path: string;
  annotation?: Annotation;
  item?: string;
}

/**
 * Lists and pairs the files of one or two folders (not their subfolders). Hidden files are ignored. Nothing is thrown for bad
 * input.
 */
export async function discover(options: DiscoverOptions): Promise<Discovered> {
  const out: Discovered = { pairs: [], problems: [], ignored: [] };
  const { imgPath, maskPath } = options;
  // On Windows relative() is empty also for two spellings of one folder, C:\Data and c:\data.
  const shared = maskPath !== undefined && relative(imgPath, maskPath) === "";
  let images = await list(imgPath, options.imageExtensions ?? EXTENSIONS, out);
  const maskExtensions = (options.maskExtensions ?? EXTENSIONS).filter((extension) => !/jpe?g/i.test(extension));
  let masks: Found[] = [];
  const own = new Set(images.map(({ stem, path }) => (isSeg(path) ? "" : stem)));
  if (shared) masks = images.filter(({ stem }) => withoutSuffix(stem) !== stem);
  else images = images.filter(({ stem, path }) => !isSeg(path) || !own.has(withoutSuffix(stem)) || !out.ignored.push(path));
  if (shared) images = images.filter(({ stem }) => withoutSuffix(stem) === stem);
  if (maskPath !== undefined) {
    const listed = await annotationsIn(
      maskPath,
      maskExtensions,
      new Set(images.map(({ stem }) => stem)),
      shared ? undefined : out,
    );
    masks = oneKind([...masks, ...listed], options.annotationFormat ?? "auto", maskPath, out);
    if (masks.some(({ annotation }) => annotation === "coco")) masks = await cocoItems(masks, out);
  }
  if (nothingToPair(options, images, masks, out)) return out;
  const folderOfOneFile =
    masks.length === 1 && !masks[0]?.item && images.length === 1 && (await isFile(imgPath)) && (await isFile(maskPath ?? ""));
  const byStem = group(images, ({ stem }) => stem);
  const masksByStem = folderOfOneFile
    ? new Map([[images[0]?.stem ?? "", masks]])
    : group(masks, ({ stem }) => (byStem.has(stem) ? stem : withoutSuffix(stem)));

  const lossy = new Map(out.ignored.filter(isJpeg).map((path) => [withoutSuffix(stemOf(path)), path]));
  const stray = [...masksByStem].flatMap(([stem, rest]) => (byStem.has(stem) ? [] : rest.map(({ path }) => path)));
  // Where both are in one folder, a mask with an unknown ending passes for an image.
  if (shared) stray.push(...images.filter(({ stem }) => !masksByStem.has(stem)).map(({ path }) => path));
  for (const [stem, found] of byStem) {
    const own = masksByStem.get(stem) ?? [];
    masksByStem.delete(stem);
    if (found.length > 1) report(out, "ERR_DUPLICATE_IMAGE", found, "have the same name", "keep one of them");
    if (own.length > 1) report(out, "ERR_DUPLICATE_MASK", own, `all belong to the image ${stem}`, "keep one of them");
    if (maskPath !== undefined && own.length === 0)
      report(out, "ERR_NO_MASK", found, ...withoutMask(stem, lossy.get(stem), stray));
    const [image] = found;
    const [mask] = own;
    if (found.length !== 1 || own.length > 1 || !image || (maskPath !== undefined && !mask)) continue;
    out.pairs.push({ source: stem, image: image.path, ...(mask && maskOf(mask)) });
  }
  for (const [stem, rest] of masksByStem)
    report(out, "ERR_NO_IMAGE", rest, `has no image named ${stem}`, "add the image, or remove the mask");
  out.pairs.sort((a, b) => compareBytes(a.source, b.source));
  out.problems.sort((a, b) => compareBytes(a.path, b.path));
  return out;
}

/** Whether one side is missing or empty. That is reported once, and not for every file of the other side. */
function nothingToPair({ imgPath, maskPath }: DiscoverOptions, images: Found[], masks: Found[], out: Discovered): boolean {
  const noMasks = maskPath !== undefined && masks.length === 0 && !out.ignored.some(isJpeg);
  if (images.length > 0 && !noMasks) return false;
  if (out.problems.length === 0) {
    const problem =
      images.length === 0
        ? { path: imgPath, message: "holds no image", fix: `put images there (${EXTENSIONS.join(", ")})` }
        : { path: maskPath ?? "", message: "holds no mask", fix: `put masks there, such as ${images[0]?.stem}_masks.png` };
    out.problems.push({ code: "ERR_NO_DATA", ...problem });
  }
  return true;
}

function isJpeg(path: string): boolean {
  return /\.jpe?g$/i.test(path);
}

/** Message and advice for an image without a mask; a JPEG of its name, or a stray file of a near one, was meant to be one. */
function withoutMask(stem: string, lossy: string | undefined, stray: readonly string[]): [string, string] {
  if (lossy) return [`has no mask but ${lossy}, and JPEG does not preserve label ids`, "save the mask as PNG or TIFF"];
  const near = nearName(stem, stray);
  if (near) return [`has no mask; is ${basename(near)} meant?`, `rename it to ${stem}_mask${extname(near)}`];
  return ["has no mask", `add a mask named ${stem}, or ${stem}_masks, or remove the image`];
}

function maskOf({ path, annotation, item }: Found): Pick<Pair, "mask" | "annotation" | "item"> {
  return {
    mask: path,
    ...(annotation && annotation !== "label_images" && { annotation }),
    ...(item !== undefined && { item }),
  };
}

/** Cellpose writes a_seg.npy beside a.png: where both are in a folder of images, a_seg.npy is not an image. */
function isSeg(path: string): boolean {
  return /_seg\.np[yz]$/i.test(path);
}

function kindOf({ path, annotation }: Found): Annotation {
  return annotation ?? (isSeg(path) ? "cellpose" : "label_images");
}

/**
 * The annotations of a mask path: label images, GeoJSON, COCO JSON, folders of objects. Without `out` (images and masks in one
 * folder) the label images were listed before.
 */
async function annotationsIn(
  path: string,
  extensions: readonly string[],
  stems: ReadonlySet<string>,
  out: Discovered | undefined,
): Promise<Found[]> {
  const byName = (file: string): Found[] => {
    const extension = extname(file).toLowerCase();
    if (extension === ".geojson") return [{ stem: stemOf(file), path: file, annotation: "geojson" }];
    return extension === ".json" ? [{ stem: stemOf(file), path: file, annotation: "coco" }] : [];
  };
  if (await isFile(path)) {
    const special = byName(path);
    return special.length > 0 ? special : [{ stem: stemOf(path), path }];
  }
  const scratch: Discovered = { pairs: [], problems: [], ignored: [] };
  const found = out ? await list(path, extensions, scratch) : [];
  if (!out) await list(path, [], scratch);
  const special: Found[] = [];
  for (const file of scratch.ignored) {
    const entries = byName(file);
    if (entries.length > 0) special.push(...entries);
    else if (stems.has(basename(file).normalize("NFC")) && (await isFolder(file)))
      special.push({ stem: basename(file).normalize("NFC"), path: file, annotation: "object_folders" });
    else out?.ignored.push(file);
  }
  out?.problems.push(...scratch.problems);
  return [...found, ...special];
}

/** The masks of one kind; several kinds in one folder are a problem unless the configuration chooses one. */
function oneKind(masks: Found[], wanted: "auto" | Annotation, path: string, out: Discovered): Found[] {
  const kinds = [...new Set(masks.map(kindOf))];
  if (wanted === "auto") {
    // A .npy of labels may be named a_seg or a_masks: its content decides how it is read.
    const mixed = kinds.filter((kind) => kind !== "cellpose" || !kinds.includes("label_images"));
    if (mixed.length > 1) {
      const message = `holds annotations of several kinds (${kinds.join(", ")})`;
      out.problems.push({
        code: "ERR_ANNOTATION",
        path,
        message,
        fix: `say which with annotation_format, such as ${kinds[0]}`,
      });
      return [];
    }
    return masks;
  }
  out.ignored.push(...masks.filter((mask) => kindOf(mask) !== wanted).map((mask) => mask.path));
  return masks.filter((mask) => kindOf(mask) === wanted);
}

/** One entry for each image of the COCO files. */
async function cocoItems(files: Found[], out: Discovered): Promise<Found[]> {
  const items: Found[] = [];
  for (const { path } of files) {
    try {
      const images = await listCocoImages(path);
      items.push(...images.map(({ stem, fileName }) => ({ stem, path, annotation: "coco" as const, item: fileName })));
    } catch (error) {
      const { code, detail, message } = error as CellsamError;
      const reason = String(detail?.reason ?? message);
      out.problems.push({ code, path, message: reason, fix: "give the COCO file of instances, or convert it" });
    }
  }
  return items;
}

async function list(path: string, extensions: readonly string[], out: Discovered): Promise<Found[]> {
  const allowed = new Set(extensions.map((extension) => extension.toLowerCase()));
  let entries: Dirent[];
  try {
    if (await isFile(path)) return [{ stem: stemOf(path), path }];
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const message = missing
      ? `does not exist${resolve(path) === path ? "" : ` (${resolve(path)})`}`
      : `cannot be listed (${(error as Error).message})`;
    out.problems.push({ code: "ERR_PATH", path, message, fix: "check the path and its permissions" });
    return [];
  }
  const found: Found[] = [];
  for (const entry of entries) {
    const full = join(path, entry.name);
    const extension = extname(entry.name).toLowerCase();
    if (entry.name.startsWith(".")) continue;
    if (allowed.has(extension) && entry.isDirectory()) {
      out.problems.push({
        code: "ERR_PATH",
        path: full,
        message: "is a folder with the name of an image",
        fix: "rename it or remove it",
      });
    } else if (allowed.has(extension)) {
      found.push({ stem: stemOf(entry.name), path: full });
    } else if (NOT_READ.has(extension)) {
      out.problems.push({
        code: "ERR_IMAGE_UNSUPPORTED",
        path: full,
        message: `files of type ${extension} are not read`,
        fix: "convert it to PNG, TIFF or .npy",
      });
    } else {
      out.ignored.push(full);
    }
  }
  return found;
}

/** File name without extension. macOS stores names in decomposed Unicode, others composed; they must pair. */
function stemOf(path: string): string {
  const name = basename(path);
  return name
    .slice(0, name.length - extname(name).length)
    .replace(/\.ome$/i, "")
    .normalize("NFC");
}

function withoutSuffix(stem: string): string {
  const suffix = MASK_SUFFIXES.find((ending) => stem.toLowerCase().endsWith(ending) && stem.length > ending.length);
  return suffix ? stem.slice(0, -suffix.length) : stem;
}

function group(files: Found[], key: (file: Found) => string): Map<string, Found[]> {
  const groups = new Map<string, Found[]>();
  for (const file of files) groups.set(key(file), [...(groups.get(key(file)) ?? []), file]);
  return groups;
}

function report(out: Discovered, code: ErrorCode, files: Found[], what: string, fix: string): void {
  const names = files.map(({ path }) => basename(path)).join(", ");
  for (const { path } of files) out.problems.push({ code, path, message: files.length > 1 ? `${names} ${what}` : what, fix });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}
