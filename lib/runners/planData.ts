/** The first half of a run, for a plan: the same checks of the data and the same splits. */
import type { ExperimentConfig } from "../config/experiment.js";
import { type Dataset, loadDataset } from "../data/dataset.js";
import { type DuplicatePair, duplicateSets, findDuplicates, type Thumbnail, thumbnail } from "../data/duplicates.js";
import { pairImage } from "../data/source.js";
import type { Splits } from "../data/split.js";
import { configuredStrategy } from "../strategies/configured.js";
import { preparedSplits } from "../strategies/strategy.js";
import { fileHash } from "./tiles.js";

/** @throws CellsamError ERR_DATASET with everything that is wrong; the signal's reason */
export function plannedData(
  config: ExperimentConfig,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal | undefined,
): Promise<Dataset> {
  return loadDataset(config, { onProgress, ...(signal && { signal }) });
}

/** Images that show the same; none when they are not to be looked for. */
export async function plannedDuplicates(config: ExperimentConfig, { pairs }: Dataset): Promise<DuplicatePair[]> {
  if (!config.findDuplicates) return [];
  const thumbnails: Thumbnail[] = [];
  for (const pair of pairs) {
    thumbnails.push(thumbnail(pair.stem, await fileHash(pair.image), await pairImage(pair, config)));
  }
  return findDuplicates(thumbnails, config.duplicateThreshold);
}

/** @throws CellsamError ERR_SPLIT */
export function plannedSplits(
  config: ExperimentConfig,
  { pairs, trainingOnly }: Dataset,
  same: readonly DuplicatePair[],
): Promise<Splits[]> {
  const own = pairs.map(({ stem }) => stem).filter((stem) => !trainingOnly.includes(stem));
  const duplicates = config.groupDuplicates ? duplicateSets(same) : [];
  return preparedSplits(configuredStrategy(config), own, { trainingOnly, duplicates });
}

/** Those of `same` that stand on two sides of some split. */
export function acrossSides(same: readonly DuplicatePair[], splits: readonly Splits[]): DuplicatePair[] {
  const places = splits.map(({ train, val, test = [] }) => {
    const sides = { train, val, test };
    return new Map(Object.entries(sides).flatMap(([side, stems]) => stems.map((stem) => [stem, side] as const)));
  });
  return same.filter(({ a, b }) => places.some((place) => place.has(a) && place.has(b) && place.get(a) !== place.get(b)));
}
