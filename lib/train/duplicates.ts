/** Looks for images that show the same before a run splits them, and tells which of them stand on two sides. */

import type { ExperimentConfig } from "../config/experiment.js";
import type { CheckedPair } from "../data/check.js";
import { type DuplicatePair, findDuplicates, type Thumbnail, thumbnail } from "../data/duplicates.js";
import { pairImage } from "../data/source.js";
import type { Splits } from "../data/split.js";
import { fileHash } from "../fileHash.js";

export async function duplicatesOf(
  pairs: readonly CheckedPair[],
  config: ExperimentConfig,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: (done: number, total: number) => void } = {},
): Promise<DuplicatePair[]> {
  const thumbnails: Thumbnail[] = [];
  for (const [i, pair] of pairs.entries()) {
    signal?.throwIfAborted();
    thumbnails.push(thumbnail(pair.stem, await fileHash(pair.image), await pairImage(pair, config)));
    onProgress?.(i + 1, pairs.length);
  }
  return findDuplicates(thumbnails, config.duplicateThreshold);
}

/** near_duplicates.json: each pair with the folds in which it stands on two sides. */
export function duplicateReport(pairs: readonly DuplicatePair[], splits: readonly Splits[], threshold: number) {
  const rows = pairs.map((pair) => ({
    ...pair,
    acrossInFolds: splits.flatMap((split, i) => {
      const [a, b] = [sideOf(split, pair.a), sideOf(split, pair.b)];
      return a && b && a !== b ? [{ fold: i + 1, a, b }] : [];
    }),
  }));
  return { threshold, pairs: rows };
}

/** A warning about pairs on two sides; null when there are none. */
export function duplicateWarning({ pairs }: ReturnType<typeof duplicateReport>): string | null {
  const across = pairs.filter(({ acrossInFolds }) => acrossInFolds.length > 0);
  if (across.length === 0) return null;
  const some = across.slice(0, 3).map(({ a, b, kind, similarity }) => `${a} and ${b} (${kind}, ${similarity.toFixed(3)})`);
  const more = across.length > some.length ? ", ..." : "";
  return `${across.length} pairs of images that show the same stand on two sides of a split, so that results look better than they are: ${some.join(", ")}${more}. All are in results/near_duplicates.json; group_duplicates: true keeps them on one side`;
}

function sideOf({ train, val, test = [] }: Splits, stem: string): "train" | "val" | "test" | null {
  if (train.includes(stem)) return "train";
  if (val.includes(stem)) return "val";
  return test.includes(stem) ? "test" : null;
}
