/** Lists the files of a folder of images or masks, and says in words what else is there. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { isZarr } from "./formats/zarrStore.js";
import { NOT_READ, stemOf } from "./names.js";
import { compareBytes } from "./order.js";
import type { Problem } from "./problem.js";

/** Images that are folders. */
const FOLDER_IMAGES = new Set([".zarr"]);

/** Whether a path is an image of Zarr: by its name, or a group of one by its metadata. */
export async function isZarrFolder(path: string): Promise<boolean> {
  return (await isFolder(path)) && (FOLDER_IMAGES.has(extname(path).toLowerCase()) || isZarr(path));
}

export interface Listed {
  /** Files of the extensions that were asked for. */
  found: { stem: string; path: string }[];
  problems: Problem[];
  /** Other files, and subfolders. */
  others: string[];
}

/** The files of a folder, or the one file; not those of subfolders. Hidden files are left out. */
export async function listFolder(path: string, extensions: readonly string[]): Promise<Listed> {
  const out: Listed = { found: [], problems: [], others: [] };
  const allowed = new Set(extensions.map((extension) => extension.toLowerCase()));
  let entries: Dirent[];
  try {
    if (await isOneFile(path)) return { ...out, found: [{ stem: stemOf(path), path }] };
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const message = missing
      ? `does not exist${resolve(path) === path ? "" : ` (${resolve(path)})`}`
      : `cannot be listed (${(error as Error).message})`;
    out.problems.push({ code: "ERR_PATH", path, message, fix: "check the path and its permissions" });
    return out;
  }
  for (const entry of entries) {
    const full = join(path, entry.name);
    const extension = extname(entry.name).toLowerCase();
    if (entry.name.startsWith(".")) continue;
    if (allowed.has(extension) && entry.isDirectory() !== FOLDER_IMAGES.has(extension)) {
      const message = entry.isDirectory() ? "is a folder with the name of an image" : "is a file, where OME-Zarr is a folder";
      out.problems.push({ code: "ERR_PATH", path: full, message, fix: "rename it or remove it" });
    } else if (allowed.has(extension)) out.found.push({ stem: stemOf(entry.name), path: full });
    else if (NOT_READ.has(extension)) {
      out.problems.push({
        code: "ERR_IMAGE_UNSUPPORTED",
        path: full,
        message: `files of type ${extension} are not read`,
        fix: "convert it to PNG, TIFF or .npy",
      });
    } else out.others.push(full);
  }
  return out;
}

/** "3 files of type .xml, 1 without a type": what a list of files holds. */
export function typesOf(paths: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const extension = extname(path).toLowerCase();
    counts.set(extension, (counts.get(extension) ?? 0) + 1);
  }
  const byCount = [...counts].sort((a, b) => b[1] - a[1] || compareBytes(a[0], b[0]));
  return byCount
    .map(([type, count]) => `${count} ${count === 1 ? "file" : "files"} ${type ? `of type ${type}` : "without a type"}`)
    .join(", ");
}

/** What a folder holds that was not used: its files by type, and its subfolders with the number of files of `extensions`. */
export async function contentsOf(path: string, extensions: readonly string[]): Promise<{ text: string; subfolders: string[] }> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  const shown = entries.filter(({ name }) => !name.startsWith("."));
  const files = shown.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const folders = shown.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  folders.sort(compareBytes);
  const counted: string[] = [];
  const subfolders: string[] = [];
  for (const name of folders.slice(0, 5)) {
    const inner = await readdir(join(path, name)).catch(() => []);
    const fitting = inner.filter((file) => !file.startsWith(".") && extensions.includes(extname(file).toLowerCase())).length;
    if (fitting > 0) subfolders.push(name);
    counted.push(`${name}${fitting > 0 ? ` (${fitting} ${fitting === 1 ? "file" : "files"} that can be read)` : ""}`);
  }
  const many = folders.length > 5 ? `, and ${folders.length - 5} more` : "";
  const parts = [
    typesOf(files),
    folders.length > 0 && `the ${folders.length === 1 ? "subfolder" : "subfolders"} ${counted.join(", ")}${many}, not searched`,
  ].filter(Boolean);
  return { text: parts.length > 0 ? `; it holds ${parts.join(", and ")}` : "", subfolders };
}

/** "12 files of type .txt, and the subfolders a, b": files and folders that are not used. */
export async function leftOut(paths: readonly string[]): Promise<string> {
  const folders: string[] = [];
  const files: string[] = [];
  for (const path of paths) ((await isFolder(path)) ? folders : files).push(path);
  const parts = [
    files.length > 0 && typesOf(files),
    folders.length > 0 && `the subfolders ${folders.map((path) => basename(path)).join(", ")}`,
  ];
  return parts.filter(Boolean).join(", and ");
}

export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

/** Whether the path is one image or mask, and not a folder of them. */
export async function isOneFile(path: string): Promise<boolean> {
  return (await isFile(path)) || (await isZarrFolder(path));
}
