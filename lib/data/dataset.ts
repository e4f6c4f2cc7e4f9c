/** The data of an experiment: its folders, and additional folders whose images train and never validate. */
import { basename, dirname } from "node:path";
import { categoryWarning } from "./categories.js";
import { type CheckedPair, type CheckOptions, checkDataset } from "./check.js";
import { type DiscoverOptions, discover, type Pair } from "./discover.js";
import type { ReadingOptions } from "./pair.js";
import type { Problem } from "./problem.js";
import { added, sentence } from "./tally.js";

export interface DatasetConfig extends ReadingOptions {
  imgPath: string;
  maskPath: string;
  annotationFormat?: DiscoverOptions["annotationFormat"];
  imageExtensions?: readonly string[] | null;
  maskExtensions?: readonly string[] | null;
  additionalDatasets?: readonly { imgPath: string; maskPath: string }[];
}

export interface Dataset {
  pairs: CheckedPair[];
  /** Names of the images of additional data sets: they are on the training side of every split. */
  trainingOnly: string[];
  /** Decisions made while reading, each once, with the number of images that it concerns. */
  notes: string[];
  /** What is probably wrong with the data set, one sentence each with what to do. */
  warnings: string[];
}

/** How the folders of a configuration are paired. */
export function discoverOptions(config: Omit<DatasetConfig, "imgPath" | "maskPath">): Omit<DiscoverOptions, "imgPath"> {
  const { annotationFormat, imageExtensions, maskExtensions, binaryMasks = false } = config;
  return {
    ...(binaryMasks && { binaryMasks }),
    ...(annotationFormat && { annotationFormat }),
    ...(imageExtensions && { imageExtensions }),
    ...(maskExtensions && { maskExtensions }),
  };
}

export interface LoadOptions extends Pick<CheckOptions, "onProgress" | "signal"> {
  /** Which of all pairs are to be read. Default: all. */
  choose?: (pairs: readonly Pair[]) => readonly Pair[];
}

/**
 * Finds and checks every pair. Where an image of an additional data set has the name of an earlier one, its folder's name is
 * put in front.
 *
 * @throws CellsamError ERR_DATASET with everything that is wrong in any of the data sets
 */
export async function loadDataset(
  config: DatasetConfig,
  { choose = (all) => all, ...options }: LoadOptions = {},
): Promise<Dataset> {
  const pairs: Pair[] = [];
  const problems: Problem[] = [];
  const trainingOnly: string[] = [];
  const taken = new Set<string>();
  const fromNames: string[] = [];
  for (const [i, { imgPath, maskPath }] of [config, ...(config.additionalDatasets ?? [])].entries()) {
    const found = await discover({ imgPath, maskPath, ...discoverOptions(config) });
    problems.push(...found.problems);
    fromNames.push(...found.notes);
    for (const pair of found.pairs) {
      const source = freeName(pair.source, imgPath, taken);
      taken.add(source);
      pairs.push({ ...pair, source });
      if (i > 0) trainingOnly.push(source);
    }
  }
  const checked = await checkDataset(choose(pairs), { ...config, ...options, problems });
  const counts = new Map<string, number>();
  const { pairs: read } = checked;
  for (const note of read.flatMap((pair) => pair.notes)) counts.set(note, (counts.get(note) ?? 0) + 1);
  const notes = [...counts].map(([note, count]) => `${count} of ${read.length} images: ${note}`);
  const objects = objectFindings(read, config.categories);
  return {
    pairs: read,
    trainingOnly,
    notes: [...fromNames, ...objects.notes, ...checked.notes, ...notes],
    warnings: [...checked.warnings, ...objects.warnings],
  };
}

/** What was decided about the objects of annotations, added up over the images. */
export function objectFindings(
  pairs: readonly Pick<CheckedPair, "source" | "tallies" | "categories">[],
  categories: DatasetConfig["categories"] = null,
): { notes: string[]; warnings: string[] } {
  const tallies = added(
    pairs.flatMap(({ source, tallies: own }) =>
      own.map((one) => ({ ...one, names: one.names.map((name) => `${source}: ${name}`) })),
    ),
  );
  const several = categoryWarning(
    pairs.map((pair) => pair.categories),
    categories,
  );
  return {
    notes: tallies.filter(({ expected }) => expected).map(sentence),
    warnings: [...several, ...tallies.filter(({ expected }) => !expected).map(sentence)],
  };
}

function freeName(source: string, imgPath: string, taken: ReadonlySet<string>): string {
  if (!taken.has(source)) return source;
  // The folder itself is mostly called "images"; the one above it distinguishes data sets.
  const prefix = `${basename(dirname(imgPath))}_${basename(imgPath)}`;
  let name = `${prefix}_${source}`;
  for (let i = 2; taken.has(name); i++) name = `${prefix}_${i}_${source}`;
  return name;
}
