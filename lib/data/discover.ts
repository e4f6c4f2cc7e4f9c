/** Pairs images and masks by file name. Files that cannot be paired are listed as problems, never skipped silently. */
import { basename, relative } from "node:path";
import type { ErrorCode } from "../errors.js";
import { isOneFile, listFolder } from "./folder.js";
import { hasLabels } from "./formats/omeZarr.js";
import type { Annotation } from "./image.js";
import { type MaskFile, type MaskFiles, maskFiles } from "./maskFiles.js";
import { isJpeg, missingSide, withoutMask } from "./missing.js";
import { ImageIndex, MASK_SUFFIXES, stemOf, withoutCompanion, withoutSuffix } from "./names.js";
import { keepOne, oneMask, otherFolders } from "./oneMask.js";
import { compareBytes } from "./order.js";
import type { Problem } from "./problem.js";
import { EXTENSIONS } from "./reader.js";

export { MASK_SUFFIXES };

export interface Pair {
  /** Name of the source image: its file name without extension (and without ".ome"), Unicode-composed. */
  source: string;
  /** Path of the image. */
  image: string;
  /** Absent when no mask path was given. A file, or a folder of one file per object. */
  mask?: string;
  /** How `mask` is to be read; absent for a label image. */
  annotation?: Annotation;
  /** Which image of a file of several (COCO, CVAT). */
  item?: string;
}

export interface DiscoverOptions {
  /** Folder of images, or one image file. */
  imgPath: string;
  /**
   * Folder of masks or annotations, one mask file, or an annotation file of several images. The same folder as imgPath is
   * allowed when masks end in one of MASK_SUFFIXES. Omit it to predict.
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
  /** Masks are foreground masks, which survive JPEG. Default false: JPEG is no mask. */
  binaryMasks?: boolean;
  /** The images are label images themselves, as of a prediction: suffixes of masks count on both sides. Default false. */
  predictions?: boolean;
}

export interface Discovered {
  /** Sorted by the UTF-8 bytes of their names: in the same order on every machine and in every locale. */
  pairs: Pair[];
  problems: Problem[];
  /** Files of other types, and subfolders, that are not used and of which no note tells. */
  ignored: string[];
  /** What was decided about files that could have been images or masks, one sentence each. */
  notes: string[];
}

interface Found {
  stem: string;
  path: string;
}

/**
 * Lists and pairs the files of one or two folders (not their subfolders). Hidden files are ignored. Nothing is thrown for bad
 * input.
 */
export async function discover(options: DiscoverOptions): Promise<Discovered> {
  const { imgPath, maskPath, predictions = false, annotationFormat = "auto" } = options;
  // On Windows relative() is empty also for two spellings of one folder, C:\Data and c:\data.
  const shared = maskPath !== undefined && relative(imgPath, maskPath) === "";
  const listed = await listFolder(imgPath, options.imageExtensions ?? EXTENSIONS);
  const out: Discovered = { pairs: [], problems: listed.problems, ignored: listed.others, notes: [] };
  const { images, beside } = sorted(listed.found, shared, predictions, out);
  const index = new ImageIndex(
    images.map(({ stem }) => stem),
    predictions,
  );
  const maskExtensions = (options.maskExtensions ?? EXTENSIONS).filter(
    (extension) => options.binaryMasks || !/jpe?g/i.test(extension),
  );
  let masks: MaskFile[] = [];
  const foreign: MaskFiles["foreign"] = [];
  if (maskPath !== undefined) {
    const found = await maskFiles(maskPath, maskExtensions, index, annotationFormat, shared ? beside : undefined);
    masks = found.masks;
    foreign.push(...found.foreign);
    // An image of OME-Zarr may bring its labels with it.
    if (shared && annotationFormat !== "label_images") {
      const without = images.filter(
        ({ stem, path }) => /\.zarr$/i.test(path) && !masks.some((mask) => index.find(mask.stem) === stem),
      );
      masks.push(
        ...without.filter(({ path }) => hasLabels(path)).map((file) => ({ ...file, annotation: "ome_zarr" as const })),
      );
    }
    out.problems = [...out.problems, ...found.problems];
    out.notes.push(...found.notes);
    const used = new Set(masks.map(({ path }) => path));
    out.ignored = [...new Set([...out.ignored, ...found.ignored])].filter((path) => !used.has(path));
  }
  if (images.length === 0 || (maskPath !== undefined && masks.length === 0 && !out.ignored.some(isJpeg))) {
    if (out.problems.length === 0) out.problems.push(await missingSide(imgPath, maskPath, images[0]?.stem, foreign));
    return out;
  }
  const onePair =
    masks.length === 1 &&
    !masks[0]?.item &&
    images.length === 1 &&
    (await isOneFile(imgPath)) &&
    (await isOneFile(maskPath ?? ""));
  const byStem = group(images, ({ stem }) => stem);
  const ownerOf = ({ stem }: MaskFile) => index.find(stem) ?? withoutSuffix(stem);
  const masksByStem = onePair ? new Map([[images[0]?.stem ?? "", masks]]) : group(masks, ownerOf);
  const others = otherFolders(masksByStem, new Map(images.map(({ stem, path }) => [stem, path])));
  if (others.note !== undefined) out.notes.push(others.note);

  const same: MaskFile[] = [];
  const unread = new Map<string, string>();
  for (const path of out.ignored) {
    const owner = index.find(stemOf(path));
    if (owner !== undefined) unread.set(owner, path);
  }
  const masksAlone = [...masksByStem].flatMap(([stem, rest]) => (byStem.has(stem) ? [] : rest.map(({ path }) => path)));
  // Where both are in one folder, a mask with an unknown ending passes for an image.
  const alone = shared ? images.filter(({ stem }) => !masksByStem.has(stem)).map(({ path }) => path) : [];
  const stray = [...masksAlone, ...alone];
  for (const [stem, found] of byStem) {
    const candidates = masksByStem.get(stem) ?? [];
    const { own, different, repeated } = await oneMask(candidates, found[0]?.path ?? "");
    out.ignored.push(...repeated);
    if (repeated.length > 0) same.push(...own);
    masksByStem.delete(stem);
    if (found.length > 1) report(out, "ERR_DUPLICATE_IMAGE", found, "have the same name", "keep one of them");
    if (own.length > 1) report(out, "ERR_DUPLICATE_MASK", own, `all belong to the image ${stem}${different}`, keepOne(own));
    if (maskPath !== undefined && own.length === 0)
      report(out, "ERR_NO_MASK", found, ...withoutMask(stem, unread.get(stem), stray));
    const [image] = found;
    const [mask] = own;
    if (found.length !== 1 || own.length > 1 || !image || (maskPath !== undefined && !mask)) continue;
    out.pairs.push({ source: stem, image: image.path, ...(mask && maskOf(mask)) });
  }
  for (const [stem, rest] of masksByStem)
    if (!others.stems.has(stem))
      report(out, "ERR_NO_IMAGE", rest, `has no image named ${stem}`, "add the image, or remove the mask");
  if (same.length > 0)
    out.notes.push(
      `masks that other files of the same cells repeat, of which _seg.npy was taken: ${same.length} (${few(same)})`,
    );
  out.pairs.sort((a, b) => compareBytes(a.source, b.source));
  out.problems.sort((a, b) => compareBytes(a.path, b.path));
  return out;
}

/**
 * Divides the files of the folder of images. Masks beside images are masks where both are in one folder; elsewhere they are no
 * images. In a folder of predictions the pictures beside them are left out.
 */
function sorted(found: Found[], shared: boolean, predictions: boolean, out: Discovered): { images: Found[]; beside: Found[] } {
  const stems = new ImageIndex(found.map(({ stem }) => stem));
  const ofOther = (file: Found, shorter: string) => shorter !== file.stem && stems.find(shorter) !== undefined;
  const isMask = (file: Found) => (shared ? withoutSuffix(file.stem) !== file.stem : ofOther(file, withoutSuffix(file.stem)));
  const leave = (files: Found[], what: string) => {
    if (files.length > 0) out.notes.push(`${what}: ${files.length} (${few(files)})`);
  };
  const companions = found.filter((file) => ofOther(file, withoutCompanion(file.stem)));
  const texts = out.ignored
    .filter((path) => /\.txt$/i.test(path))
    .map((path) => ({ path, stem: stemOf(path) }))
    .filter((file) => ofOther(file, withoutCompanion(file.stem)));
  const named = new Set(texts.map(({ path }) => path));
  out.ignored = out.ignored.filter((path) => !named.has(path));
  leave([...companions, ...texts], "files that Cellpose writes beside its masks, left out");
  const data = without(found, companions);
  const masks = data.filter(isMask);
  const others = without(data, masks);
  if (predictions) {
    const owners = new Set(masks.map(({ stem }) => stems.find(withoutSuffix(stem))));
    const pictures = masks.length > 0 ? others.filter(({ stem }) => owners.has(stem)) : [];
    leave(pictures, "files that have a mask of their name beside them, taken for pictures and left out");
    return { images: without(data, pictures), beside: [] };
  }
  if (!shared) leave(masks, "masks beside the images, which are no images");
  return { images: others, beside: masks };
}

function without(files: readonly Found[], left: readonly Found[]): Found[] {
  const out = new Set(left);
  return files.filter((file) => !out.has(file));
}

const few = (files: readonly Found[]) =>
  files
    .slice(0, 3)
    .map(({ path }) => basename(path))
    .join(", ") + (files.length > 3 ? ", ..." : "");

function maskOf({ path, annotation, item }: MaskFile): Pick<Pair, "mask" | "annotation" | "item"> {
  return {
    mask: path,
    ...(annotation && annotation !== "label_images" && { annotation }),
    ...(item !== undefined && { item }),
  };
}

function group<T>(files: readonly T[], key: (file: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const file of files) {
    const name = key(file);
    const list = groups.get(name);
    if (list) list.push(file);
    else groups.set(name, [file]);
  }
  return groups;
}

function report(out: Discovered, code: ErrorCode, files: readonly Found[], what: string, fix: string): void {
  const names = files.map(({ path }) => basename(path)).join(", ");
  for (const { path } of files) out.problems.push({ code, path, message: files.length > 1 ? `${names} ${what}` : what, fix });
}
