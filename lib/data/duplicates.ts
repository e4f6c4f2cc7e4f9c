/**
 * Finds near-duplicates: images with the same content in identical files, other formats, other sizes, with noise, other
 * brightness or contrast, flipped or turned by quarters. Two such images on two sides of a split make a model look better than
 * it is.
 *
 * Each image is reduced to a thumbnail of 32 x 32 grey values with mean 0. Its coarse version of 8 x 8, in all eight flips and
 * turns, is a perceptual hash that rules out nearly all pairs; the normalised correlation of the thumbnails decides on the
 * rest.
 */
import type { NdImage } from "./image.js";

const side = 32;
const coarseSide = 8;
/** Pairs whose coarse correlation is lower are not compared further. */
const coarseAtLeast = 0.7;

export interface Thumbnail {
  source: string;
  /** Hash of the file's content. */
  hash: string;
  /** [32,32], mean 0, length 1; all 0 for an image of one value. */
  fine: Float32Array;
  /** [8,8], likewise. */
  coarse: Float32Array;
}

export interface DuplicatePair {
  a: string;
  b: string;
  /** Identical files, or the same content stored differently. */
  kind: "identical" | "near";
  /** Normalised correlation of the thumbnails, at most 1. */
  similarity: number;
}

/** `image` is [H,W] or [H,W,C] of any type; channels are averaged. */
export function thumbnail(source: string, hash: string, { data, shape }: NdImage): Thumbnail {
  const [height = 0, width = 0, channels = 1] = shape;
  const [low, high] = range(data);
  const sums = new Float64Array(side * side);
  const counts = new Float64Array(side * side);
  // In small images every bin of the thumbnail takes at least its nearest pixel.
  const stepY = Math.max(height, side);
  const stepX = Math.max(width, side);
  for (let y = 0; y < stepY; y++) {
    const row = Math.floor((y * height) / stepY);
    const binRow = Math.floor((y * side) / stepY) * side;
    for (let x = 0; x < stepX; x++) {
      const at = (row * width + Math.floor((x * width) / stepX)) * channels;
      const bin = binRow + Math.floor((x * side) / stepX);
      for (let c = 0; c < channels; c++)
        sums[bin] = (sums[bin] as number) + Math.min(high, Math.max(low, data[at + c] as number));
      counts[bin] = (counts[bin] as number) + channels;
    }
  }
  const grey = Float32Array.from(sums, (sum, i) => sum / (counts[i] as number));
  const coarse = new Float32Array(coarseSide * coarseSide);
  const scale = side / coarseSide;
  for (let i = 0; i < grey.length; i++) {
    const bin = Math.floor(Math.floor(i / side) / scale) * coarseSide + Math.floor((i % side) / scale);
    coarse[bin] = (coarse[bin] as number) + (grey[i] as number);
  }
  return { source, hash, fine: normalised(grey), coarse: normalised(coarse) };
}

/**
 * The 0.1th and the 99.9th percentile of about 100 000 values: a single hot pixel of the camera, at the same place in every image,
 * would otherwise be all that two images have in common.
 */
function range(data: NdImage["data"]): [number, number] {
  const step = Math.max(1, Math.floor(data.length / 1e5));
  const values = new Float64Array(Math.ceil(data.length / step));
  for (let i = 0; i < values.length; i++) values[i] = data[i * step] as number;
  values.sort();
  const out = Math.ceil(values.length / 1000);
  const [low, high] = [values[out] as number, values[values.length - 1 - out] as number];
  // A few bright spots on a constant background are all that such an image shows.
  return low < high ? [low, high] : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
}

/** Pairs of images whose correlation, in any flip or turn, reaches `threshold`; identical files first, then by similarity. */
export function findDuplicates(thumbnails: readonly Thumbnail[], threshold: number): DuplicatePair[] {
  const pairs: DuplicatePair[] = [];
  for (const [i, b] of thumbnails.entries()) {
    const turned = variants(b.coarse, coarseSide);
    let fine: Float32Array[] | undefined;
    for (const a of thumbnails.slice(0, i)) {
      if (a.hash === b.hash) {
        pairs.push({ a: a.source, b: b.source, kind: "identical", similarity: 1 });
        continue;
      }
      const promising = turned.flatMap((variant, v) => (correlation(a.coarse, variant) >= coarseAtLeast ? [v] : []));
      if (promising.length === 0) continue;
      fine ??= variants(b.fine, side);
      const all = fine;
      const similarity = Math.max(...promising.map((v) => correlation(a.fine, all[v] as Float32Array)));
      if (similarity >= threshold) pairs.push({ a: a.source, b: b.source, kind: "near", similarity: Math.min(1, similarity) });
    }
  }
  return pairs.sort((p, q) => q.similarity - p.similarity || (p.a < q.a ? -1 : 1));
}

/** Sets of images that are connected by a chain of pairs. */
export function duplicateSets(pairs: readonly DuplicatePair[]): string[][] {
  const sets = new Map<string, Set<string>>();
  for (const { a, b } of pairs) {
    const merged = new Set([a, b, ...(sets.get(a) ?? []), ...(sets.get(b) ?? [])]);
    for (const source of merged) sets.set(source, merged);
  }
  return [...new Set(sets.values())].map((set) => [...set].sort());
}

/** The eight flips and quarter turns of a square. */
function variants(square: Float32Array, size: number): Float32Array[] {
  return Array.from({ length: 8 }, (_, v) => {
    const turned = new Float32Array(square.length);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const [r, c] = v & 4 ? [x, y] : [y, x];
        turned[y * size + x] = square[(v & 1 ? size - 1 - r : r) * size + (v & 2 ? size - 1 - c : c)] as number;
      }
    }
    return turned;
  });
}

function normalised(values: Float32Array): Float32Array {
  const centre = values.reduce((sum, value) => sum + value, 0) / values.length;
  const length = Math.hypot(...values.map((value) => value - centre));
  return values.map((value) =>
    length > 1e-6 * Math.abs(centre) * values.length && length > 0 ? (value - centre) / length : 0,
  );
}

function correlation(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
