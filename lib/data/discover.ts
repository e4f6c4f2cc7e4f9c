/** Which image belongs to which mask: pairing by file name, with every file that cannot be paired listed instead of skipped. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import type { Problem } from "./problem.js";
import { EXTENSIONS } from "./reader.js";

export interface Pair {
  /** File name without extension (and without ".ome"), Unicode-composed. */
  stem: string;
  image: string;
  /** Absent when no mask path was given. */
  mask?: string;
}

export interface DiscoverOptions {
  /** Folder of images, or one image file. */
  imgPath: string;
  /** Folder of masks, or one mask file. The same folder as imgPath is allowed when masks end in one of MASK_SUFFIXES. Omit it to predict. */
  maskPath?: string;
  /** Extensions that count as images and as masks, with the dot, any case. Default: all that can be read. */
  imageExtensions?: readonly string[];
  maskExtensions?: readonly string[];
}

export interface Discovered {
  /** Sorted by the UTF-8 bytes of the stem: the same on every machine and in every locale. */
  pairs: Pair[];
  problems: Problem[];
  /** Files of other types, and subfolders, that play no part. */
  ignored: string[];
}

/** A mask is named as its image, or as its image plus one of these. */
export const MASK_SUFFIXES = ["_masks", "_mask", "_labels", "_label", "_seg"] as const;

/** Picture and annotation types that are known but not read: a file of these was meant to be data, so it is a problem and not ignored. */
const NOT_READ = new Set([".bmp", ".gif", ".webp", ".npz", ".czi", ".lif", ".nd2", ".ndpi", ".svs", ".zarr", ".geojson"]);

interface Found {
  stem: string;
  path: string;
}

/** Lists and pairs the files of one or two folders (not their subfolders). Hidden files are ignored. Nothing is thrown for bad input. */
export async function discover(options: DiscoverOptions): Promise<Discovered> {
  const out: Discovered = { pairs: [], problems: [], ignored: [] };
  const { imgPath, maskPath } = options;
  const shared = maskPath !== undefined && resolve(imgPath) === resolve(maskPath);
  let images = await list(imgPath, options.imageExtensions ?? EXTENSIONS, out);
  let masks =
    maskPath === undefined || shared
      ? []
      : await list(
          maskPath,
          (options.maskExtensions ?? EXTENSIONS).filter((e) => !/jpe?g/i.test(e)),
          out,
        );
  const folderOfOneFile =
    masks.length === 1 && images.length === 1 && (await isFile(imgPath)) && (await isFile(maskPath ?? ""));
  if (shared) {
    masks = images.filter(({ stem }) => withoutSuffix(stem) !== stem);
    images = images.filter(({ stem }) => withoutSuffix(stem) === stem);
  }
  const byStem = group(images, ({ stem }) => stem);
  const masksByStem = folderOfOneFile
    ? new Map([[images[0]?.stem ?? "", masks]])
    : group(masks, ({ stem }) => (byStem.has(stem) ? stem : withoutSuffix(stem)));

  for (const [stem, found] of byStem) {
    const own = masksByStem.get(stem) ?? [];
    masksByStem.delete(stem);
    if (found.length > 1) report(out, "ERR_DUPLICATE_IMAGE", found, "have the same name", "keep one of them");
    if (own.length > 1) report(out, "ERR_DUPLICATE_MASK", own, `all belong to the image ${stem}`, "keep one of them");
    if (maskPath !== undefined && own.length === 0)
      report(out, "ERR_NO_MASK", found, "has no mask", `add a mask named ${stem}, or ${stem}_masks, or take the image away`);
    const [image] = found;
    const [mask] = own;
    if (found.length !== 1 || own.length > 1 || !image || (maskPath !== undefined && !mask)) continue;
    out.pairs.push(mask ? { stem, image: image.path, mask: mask.path } : { stem, image: image.path });
  }
  for (const [stem, rest] of masksByStem)
    report(out, "ERR_NO_IMAGE", rest, `has no image named ${stem}`, "add the image, or take the mask away");
  out.pairs.sort((a, b) => Buffer.compare(Buffer.from(a.stem), Buffer.from(b.stem)));
  out.problems.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  if (byStem.size === 0 && out.problems.length === 0) {
    out.problems.push({
      code: "ERR_NO_DATA",
      path: imgPath,
      message: "holds no image",
      fix: `put images there (${EXTENSIONS.join(", ")})`,
    });
  }
  return out;
}

async function list(path: string, extensions: readonly string[], out: Discovered): Promise<Found[]> {
  const allowed = new Set(extensions.map((extension) => extension.toLowerCase()));
  let entries: Dirent[];
  try {
    if (await isFile(path)) return [{ stem: stemOf(path), path }];
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const message = missing ? "does not exist" : `cannot be listed (${(error as Error).message})`;
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
        message: "is a folder with the name of a picture",
        fix: "rename it or take it away",
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

/** macOS stores names decomposed, others composed: the same name must pair across both. */
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

function report(out: Discovered, code: string, files: Found[], what: string, fix: string): void {
  const names = files.map(({ path }) => basename(path)).join(", ");
  for (const { path } of files) out.problems.push({ code, path, message: files.length > 1 ? `${names} ${what}` : what, fix });
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}
