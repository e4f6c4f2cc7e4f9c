/** The data of an experiment: its own folders and the additional ones, whose images train and never validate. */
import { basename, dirname } from "node:path";
import { type CheckedPair, type CheckOptions, checkDataset } from "./check.js";
import { type DiscoverOptions, discover, type Pair } from "./discover.js";
import type { Problem } from "./problem.js";
import type { SourceOptions } from "./source.js";

export interface DatasetConfig extends SourceOptions {
  imgPath: string;
  maskPath: string;
  annotationFormat?: DiscoverOptions["annotationFormat"];
  imageExtensions?: readonly string[] | null;
  maskExtensions?: readonly string[] | null;
  additionalDatasets?: readonly { imgPath: string; maskPath: string }[];
}

export interface Dataset {
  pairs: CheckedPair[];
  /** Stems of the additional data sets: they belong on the training side of every split. */
  trainingOnly: string[];
  /** What was decided while reading, each once, with the number of images it concerns. */
  notes: string[];
}

/** How a configuration says that folders are paired. */
export function discoverOptions(config: Omit<DatasetConfig, "imgPath" | "maskPath">): Omit<DiscoverOptions, "imgPath"> {
  const { annotationFormat, imageExtensions, maskExtensions } = config;
  return {
    ...(annotationFormat && { annotationFormat }),
    ...(imageExtensions && { imageExtensions }),
    ...(maskExtensions && { maskExtensions }),
  };
}

/**
 * Finds and checks every pair. A stem of an additional data set that is taken gets the name of its folder in front.
 *
 * @throws CellsamError ERR_DATASET with everything that is wrong in any of the data sets
 */
export async function loadDataset(
  config: DatasetConfig,
  options: Pick<CheckOptions, "onProgress" | "signal"> = {},
): Promise<Dataset> {
  const pairs: Pair[] = [];
  const problems: Problem[] = [];
  const trainingOnly: string[] = [];
  const taken = new Set<string>();
  for (const [i, { imgPath, maskPath }] of [config, ...(config.additionalDatasets ?? [])].entries()) {
    const found = await discover({ imgPath, maskPath, ...discoverOptions(config) });
    problems.push(...found.problems);
    for (const pair of found.pairs) {
      const stem = freeStem(pair.stem, imgPath, taken);
      taken.add(stem);
      pairs.push({ ...pair, stem });
      if (i > 0) trainingOnly.push(stem);
    }
  }
  const checked = await checkDataset(pairs, { ...config, ...options, problems });
  const counts = new Map<string, number>();
  for (const note of checked.pairs.flatMap((pair) => pair.notes)) counts.set(note, (counts.get(note) ?? 0) + 1);
  const notes = [...counts].map(([note, count]) => `${count} of ${checked.pairs.length} images: ${note}`);
  return { pairs: checked.pairs, trainingOnly, notes };
}

function freeStem(stem: string, imgPath: string, taken: ReadonlySet<string>): string {
  if (!taken.has(stem)) return stem;
  // A folder is mostly called "images": the one above it tells data sets apart.
  const prefix = `${basename(dirname(imgPath))}_${basename(imgPath)}`;
  let name = `${prefix}_${stem}`;
  for (let i = 2; taken.has(name); i++) name = `${prefix}_${i}_${stem}`;
  return name;
}
