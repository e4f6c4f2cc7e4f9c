/** Which of several masks belongs to an image, and which entries of a list of images belong to other folders. */
import { dirname } from "node:path";
import { kindOf, type MaskFile } from "./maskFiles.js";
import { foldersShared } from "./names.js";
import { differentMasks } from "./sameMasks.js";

export interface Chosen {
  /** One mask, or several between which nothing decides. */
  own: MaskFile[];
  /** How those several differ. */
  different: string;
  /** Files that show the same cells as the one that is taken. */
  repeated: string[];
}

/**
 * Of several masks of an image the one to take. A list of images may name pictures of one name in several folders; Cellpose
 * writes the same masks as _seg.npy and as _cp_masks.
 */
export async function oneMask(masks: MaskFile[], image: string): Promise<Chosen> {
  if (masks.length < 2) return { own: masks, different: "", repeated: [] };
  if (masks.every(({ item, path }) => item !== undefined && path === masks[0]?.path)) {
    const shared = masks.map(({ item }) => foldersShared(item as string, image));
    const most = Math.max(...shared);
    const nearest = masks.filter((_, i) => shared[i] === most);
    const names = masks.map(({ item }) => item).join(", ");
    return { own: most > 0 ? nearest : masks, different: ` by their names (${names})`, repeated: [] };
  }
  const labels = masks.every((mask) => ["label_images", "cellpose"].includes(kindOf(mask)));
  const taken = masks.find((mask) => kindOf(mask) === "cellpose");
  if (!labels || !taken) return { own: masks, different: "", repeated: [] };
  const different = await differentMasks(masks.map(({ path }) => path));
  if (different !== undefined) return { own: masks, different, repeated: [] };
  return { own: [taken], different: "", repeated: masks.filter((mask) => mask !== taken).map(({ path }) => path) };
}

/** What to do about several masks of one image. */
export function keepOne(masks: readonly MaskFile[]): string {
  const kinds = [...new Set(masks.map(kindOf))];
  return `keep one of them${kinds.length > 1 ? `, or choose with annotation_format: ${kinds.join(" or ")}` : ""}`;
}

/**
 * The names of images that a list of images has in other folders than those that are there: with train/ and val/ in one list,
 * each folder of images uses its own part.
 *
 * @param masks by the name of their image; `images` are the paths by name
 */
export function otherFolders(
  masks: ReadonlyMap<string, MaskFile[]>,
  images: ReadonlyMap<string, string>,
): { stems: Set<string>; note?: string } {
  const folder = ({ item = "" }: MaskFile) => dirname(item.replaceAll("\\", "/"));
  const used = new Set<string>();
  for (const [stem, own] of masks) {
    const image = images.get(stem);
    if (image === undefined) continue;
    const most = Math.max(...own.map(({ item }) => foldersShared(item ?? "", image)));
    for (const mask of own) if (foldersShared(mask.item ?? "", image) === most) used.add(folder(mask));
  }
  const stems = new Set<string>();
  const names: string[] = [];
  for (const [stem, own] of masks) {
    if (images.has(stem) || used.size === 0 || !own.every((mask) => mask.item !== undefined && !used.has(folder(mask))))
      continue;
    stems.add(stem);
    names.push(...own.map(({ item }) => item as string));
  }
  if (names.length === 0) return { stems };
  const few = names.slice(0, 3).join(", ") + (names.length > 3 ? ", ..." : "");
  return { stems, note: `images that the list of annotations has in other folders, left out: ${names.length} (${few})` };
}
