/**
 * Near-duplicates among the images of an experiment: found before the images are split, and reported where they are on two
 * sides.
 */
import type { ExperimentConfig } from "../config/experiment.js";
import type { CheckedPair } from "../data/check.js";
import { type DuplicatePair, findDuplicates, type Thumbnail, thumbnail } from "../data/duplicates.js";
import { filesOf, pairImage } from "../data/pair.js";
import type { Splits } from "../data/split.js";
import { fileHash } from "../files/fileHash.js";

/** Near-duplicates among the images; none where they are not to be looked for. @throws the signal's reason */
export async function duplicatesOf(
  pairs: readonly CheckedPair[],
  config: ExperimentConfig,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: (done: number, total: number) => void } = {},
): Promise<DuplicatePair[]> {
  if (!config.findDuplicates) return [];
  const thumbnails: Thumbnail[] = [];
  for (const [i, pair] of pairs.entries()) {
    signal?.throwIfAborted();
    thumbnails.push(thumbnail(pair.source, await contentHash(pair), await pairImage(pair, config)));
    onProgress?.(i + 1, pairs.length);
  }
  return findDuplicates(thumbnails, config.duplicateThreshold);
}

/** A hash of the image's content, which OME-Zarr has in many files. */
async function contentHash({ source, image }: CheckedPair): Promise<string> {
  const files = await filesOf({ source, image });
  return (await Promise.all(files.map(fileHash))).join();
}

/** The content of near_duplicates.json: each pair with the folds in which it is on two sides. */
export function duplicateReport(pairs: readonly DuplicatePair[], splits: readonly Splits[], threshold: number) {
  return { threshold, pairs: pairs.map((pair) => ({ ...pair, acrossInFolds: acrossIn(pair, splits) })) };
}

/** The folds, from 1, in which the images of a pair stand on two sides, and on which. */
export function acrossIn(pair: DuplicatePair, splits: readonly Splits[]) {
  return splits.flatMap((split, i) => {
    const [a, b] = [sideOf(split, pair.a), sideOf(split, pair.b)];
    return a && b && a !== b ? [{ fold: i + 1, a, b }] : [];
  });
}

/** A warning about pairs on two sides of a split; null when there are none. */
export function duplicateWarning({ pairs }: ReturnType<typeof duplicateReport>): string | null {
  const across = pairs.filter(({ acrossInFolds }) => acrossInFolds.length > 0);
  if (across.length === 0) return null;
  const some = across.slice(0, 3).map(({ a, b, kind, similarity }) => `${a} and ${b} (${kind}, ${similarity.toFixed(3)})`);
  const more = across.length > some.length ? ", ..." : "";
  return `${across.length} pairs of near-duplicate images are on two sides of a split, so the results look better than they are: ${some.join(", ")}${more}. All are in results/near_duplicates.json; group_duplicates: true keeps them on one side`;
}

function sideOf({ train, val, test = [] }: Splits, source: string): "train" | "val" | "test" | null {
  if (train.includes(source)) return "train";
  if (val.includes(source)) return "val";
  return test.includes(source) ? "test" : null;
}
