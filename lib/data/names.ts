/** Names of images, masks and annotations: which belong together. */
import { basename, dirname, extname } from "node:path";

/** A mask is named as its image, or as its image plus one of these. */
export const MASK_SUFFIXES = ["_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg"] as const;

/** An annotation may also end in these. */
const ANNOTATION_SUFFIXES = ["_roiset", "-roiset", "_rois", "_roi", "_annotations", "_annotation"];

/** Images may end in these where their masks do not: 000_img.png with 000_masks.png, as Cellpose names them. */
const IMAGE_SUFFIXES = ["_image", "_img"] as const;

/** Endings of what Cellpose writes beside its masks: flows, pictures and outlines for other programs. */
const COMPANION_SUFFIXES = [
  "_cp_output",
  "_cp_outlines",
  "_cp_flows",
  "_flows_cp_masks",
  "_outlines_cp_masks",
  "_flows",
  "_rois",
];

/** Image types that are not read: a file of these was meant to be data, so it is a problem and not ignored. */
export const NOT_READ: ReadonlySet<string> = new Set([
  ".gif",
  ".webp",
  ".czi",
  ".lif",
  ".nd2",
  ".ndpi",
  ".svs",
  ".oib",
  ".oif",
  ".vsi",
  ".dcm",
  ".heic",
]);

/** Extensions that other programs leave in the name of an annotation, as in f0.tif.geojson: also of files that are not read here. */
const INNER_EXTENSION =
  /\.(ome\.)?(png|jpe?g|tiff?|btf|tf2|tf8|lsm|stk|flex|bmp|np[yz]|gif|webp|czi|lif|nd2|ndpi|svs|zarr|mrxs|scn)$/i;

/** File name without extension. macOS stores names in decomposed Unicode, others composed; they must pair. */
export function stemOf(path: string): string {
  const name = basename(path);
  return name
    .slice(0, name.length - extname(name).length)
    .replace(/\.ome$/i, "")
    .normalize("NFC");
}

function without(stem: string, endings: readonly string[]): string {
  const ending = endings.find((one) => stem.toLowerCase().endsWith(one) && stem.length > one.length);
  return ending ? stem.slice(0, -ending.length) : stem;
}

export const withoutSuffix = (stem: string) => without(stem, MASK_SUFFIXES);

/** The image that a file belongs to which Cellpose wrote beside its masks; the stem itself for other files. */
export const withoutCompanion = (stem: string) => without(stem, COMPANION_SUFFIXES);

/** Cellpose writes a_seg.npy beside a.png. */
export function isSeg(path: string): boolean {
  return /_seg\.np[yz]$/i.test(path);
}

/** Names of images to which a mask or an annotation of this stem may belong, the nearest first. */
export function imageNames(stem: string): string[] {
  const names = new Set([stem]);
  for (const name of names) {
    const shorter = without(name, [...MASK_SUFFIXES, ...ANNOTATION_SUFFIXES]);
    const inner = name.replace(INNER_EXTENSION, "");
    for (const one of [shorter, inner]) if (one !== "") names.add(one);
  }
  return [...names];
}

/** The stem of an image in a list of images: the name in the list may contain folders. */
export function itemStem(fileName: string): string {
  return stemOf(fileName.replaceAll("\\", "/"));
}

/** How many folders of `fileName`, from the last one on, are those of the image. */
export function foldersShared(fileName: string, image: string): number {
  const [listed, real] = [fileName, image].map((path) => dirname(path.replaceAll("\\", "/")).split("/").reverse());
  let shared = 0;
  while (listed?.[shared] !== undefined && listed[shared] !== "." && listed[shared] === real?.[shared]) shared++;
  return shared;
}

/** Finds the image that a mask belongs to: by its name, then by its name without _img. */
export class ImageIndex {
  private readonly stems: ReadonlySet<string>;
  private readonly aliases = new Map<string, string>();

  /** @param masks the "images" are label images themselves, as of a prediction, and may end in a suffix of masks */
  constructor(stems: Iterable<string>, masks = false) {
    this.stems = new Set(stems);
    const taken = new Map<string, Set<string>>();
    for (const stem of this.stems) {
      for (const name of masks ? imageNames(stem) : [stem]) {
        for (const alias of [name, without(name, IMAGE_SUFFIXES)])
          if (!this.stems.has(alias)) taken.set(alias, (taken.get(alias) ?? new Set()).add(stem));
      }
    }
    // A name that two images could have is no name of either.
    for (const [alias, owners] of taken) if (owners.size === 1) this.aliases.set(alias, [...owners][0] as string);
  }

  /** The stem of the image, or undefined. */
  find(maskStem: string): string | undefined {
    for (const name of imageNames(maskStem)) {
      const stem = this.stems.has(name) ? name : (this.aliases.get(name) ?? this.aliases.get(without(name, IMAGE_SUFFIXES)));
      if (stem !== undefined) return stem;
    }
    return undefined;
  }
}
