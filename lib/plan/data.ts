/** The first half of a run, for a plan: the same checks of the data and the same splits. */
import type { ExperimentConfig } from "../config/experiment.js";
import { type Dataset, loadDataset } from "../data/dataset.js";
import { type DuplicatePair, duplicateSets } from "../data/duplicates.js";
import type { Splits } from "../data/split.js";
import { preparedSplits } from "../strategies/strategy.js";
import { configuredStrategy } from "../strategies/table.js";
import { duplicatesOf } from "../train/duplicates.js";

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
  return duplicatesOf(pairs, config);
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
