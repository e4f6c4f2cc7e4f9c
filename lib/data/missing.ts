/** What to say where images or masks are missing: what is there instead, and what to do. */
import { basename, extname } from "node:path";
import { contentsOf } from "./folder.js";
import { nearName } from "./nearNames.js";
import type { Problem } from "./problem.js";
import { EXTENSIONS } from "./reader.js";

/**
 * The problem of a folder without an image, or without a mask. It is reported once, and not for every file of the other side.
 *
 * @param stem name of an image; undefined where there is none
 * @param foreign annotations that are not read, and what they are
 */
export async function missingSide(
  imgPath: string,
  maskPath: string | undefined,
  stem: string | undefined,
  foreign: readonly { what: string }[],
): Promise<Problem> {
  const path = stem === undefined ? imgPath : (maskPath ?? "");
  const [kind, setting] = stem === undefined ? ["image", "img_path"] : ["mask", "mask_path"];
  const { text, subfolders } = await contentsOf(path, EXTENSIONS);
  let fix = `put masks there, such as ${stem}_masks.png, or annotations (docs/formats.md)`;
  if (subfolders.length > 0) {
    const more = subfolders.length > 1 ? " and the others as additional_datasets" : "";
    fix = `give ${subfolders[0]} as ${setting}${more}, or move the files`;
  } else if (stem === undefined) fix = `put images there (${EXTENSIONS.join(", ")})`;
  else if (foreign.length > 0) fix = "export COCO, GeoJSON, LabelMe or label images (docs/formats.md)";
  return { code: "ERR_NO_DATA", path, message: `holds no ${kind}${text}${foreignText(foreign)}`, fix };
}

/** "; VGG Image Annotator is not read (4 files)". */
function foreignText(foreign: readonly { what: string }[]): string {
  const counts = new Map<string, number>();
  for (const { what } of foreign) counts.set(what, (counts.get(what) ?? 0) + 1);
  return [...counts].map(([what, count]) => `; ${what} is not read (${count} ${count === 1 ? "file" : "files"})`).join("");
}

export function isJpeg(path: string): boolean {
  return /\.jpe?g$/i.test(path);
}

/** Message and advice for an image without a mask; an unread file of its name, or a stray one of a near name, was meant to be one. */
export function withoutMask(stem: string, unread: string | undefined, stray: readonly string[]): [string, string] {
  if (unread && isJpeg(unread))
    return [
      `has no mask but ${unread}, and JPEG does not preserve label ids`,
      "save it as PNG or TIFF, or set binary_masks: true for foreground",
    ];
  if (unread && /\.(json|geojson|xml|txt|zip|roi)$/i.test(unread))
    return [`has no mask but ${unread}, which is no annotation that is read`, "export COCO, GeoJSON or label images"];
  const near = nearName(stem, stray);
  if (near) return [`has no mask; is ${basename(near)} meant?`, `rename it to ${stem}_mask${extname(near)}`];
  return ["has no mask", `add a mask named ${stem}, or ${stem}_masks, or remove the image`];
}
