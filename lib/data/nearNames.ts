/** Finds the file that was probably meant as the mask of an image, for advice: a near name pairs nothing by itself. */
import { basename, extname } from "node:path";

/** How a name is compared: without case, separators, accents and leading zeros. */
function plain(name: string): string {
  return name
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "")
    .replace(/0+(?=\d)/g, "");
}

/** The numbers in a name: images of a series differ in them alone. */
function numbers(name: string): string {
  return (plain(name).match(/\d+/g) ?? []).join();
}

/**
 * The path among `candidates` whose name is nearest to `stem`, an image's name without extension: the same but for case, spaces
 * and zeros; with more before or behind, as in Bild1_mask_final; or with one character or pair of characters mistyped. Undefined
 * where there is none, or where several are equally near.
 */
export function nearName(stem: string, candidates: readonly string[]): string | undefined {
  let best: { path: string; distance: number; alone: boolean } | undefined;
  for (const path of candidates) {
    const distance = distanceOf(stem, basename(path, extname(path)));
    if (distance === undefined || (best && distance > best.distance)) continue;
    best = { path, distance, alone: best?.distance !== distance };
  }
  return best?.alone ? best.path : undefined;
}

/** 0 for the same name; then the number of characters that are too many, or of the mistyped name; undefined for another name. */
function distanceOf(stem: string, candidate: string): number | undefined {
  const [image, other] = [plain(stem), plain(candidate)];
  if (image === "" || stem === candidate) return undefined;
  if (image === other) return 0;
  const at = other.indexOf(image);
  if (at >= 0) {
    const [before, behind] = [other.slice(0, at), other.slice(at + image.length)];
    // Bild1 is not within Bild10, and 5 not within 15.
    const cut = (/\d$/.test(before) && /^\d/.test(image)) || (/\d$/.test(image) && /^\d/.test(behind));
    if (!cut && (before === "" || behind === "" || numbers(stem) === numbers(candidate))) return before.length + behind.length;
  }
  // Ending and all: a mistyped name may have a mask's ending too.
  const bare = other.replace(/(cpmasks?|masks?|labels?|seg)$/, "");
  return numbers(stem) === numbers(candidate) && image.length > 3 && oneSlip(image, bare) ? other.length : undefined;
}

/** Whether one inserted, missing or replaced character, or two swapped ones, make the difference. */
function oneSlip(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  const [restA, restB] = [a.slice(start), b.slice(start)];
  if (restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1)) return true;
  return restA.slice(2) === restB.slice(2) && restA[0] === restB[1] && restA[1] === restB[0];
}
