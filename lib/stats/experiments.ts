/**
 * Compares two experiments by their result files: by folds where both had the same splits, by images where both measured the
 * same ones.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Splits } from "../data/split.js";
import { CellsamError } from "../errors.js";
import { readJson } from "../files/json.js";
import { fromSnake } from "../spelling.js";
import { type Comparison, comparePaired } from "./compare.js";
import { type FoldMetrics, foldMetrics, type Numbers } from "./folds.js";
import { compareImages, type MeasuredImage, scoresByImage } from "./images.js";
import { mean } from "./summary.js";

interface StoredFold extends FoldMetrics {
  fold: number;
  trainImages: number;
  valImages: number;
  evaluatedOn?: string;
  error?: object | null;
}

interface Experiment {
  folder: string;
  splits: Splits[];
  folds: StoredFold[];
  /** Scores by image; the mean for an image that was measured in several folds. */
  images: Map<string, Numbers>;
}

export interface ExperimentComparison {
  a: string;
  b: string;
  /** null where the splits differ or there are fewer than two folds. */
  folds: Comparison | null;
  /** null where the images differ. */
  images: Comparison | null;
  notes: string[];
}

/**
 * Tests whether the experiment of `folderB` is better than that of `folderA`.
 * @throws CellsamError ERR_CONFIG when a folder holds no finished experiment, or when nothing can be paired
 */
export async function compareExperiments(folderA: string, folderB: string): Promise<ExperimentComparison> {
  const [a, b] = [await readExperiment(folderA), await readExperiment(folderB)];
  const notes: string[] = [];
  const folds = byFolds(a, b, notes);
  const images = byImages(a, b, notes);
  if (!folds && !images) {
    throw new CellsamError("ERR_CONFIG", `${folderA} and ${folderB} cannot be compared: ${notes.join("; ")}`, {
      detail: { notes },
    });
  }
  return { a: folderA, b: folderB, folds, images, notes };
}

async function readExperiment(folder: string): Promise<Experiment> {
  const file = (...names: string[]) => join(folder, ...names);
  const individual = file("results", "individual_results.json");
  if (!existsSync(individual)) {
    const message = `${folder} is no finished experiment: it has no results/individual_results.json`;
    throw new CellsamError("ERR_CONFIG", message, { detail: { folder } });
  }
  const folds = fromSnake(await readJson(individual)) as StoredFold[];
  const splits = existsSync(file("splits.json")) ? await readJson<Splits | Splits[]>(file("splits.json")) : [];
  const perImage = file("results", "per_image.json");
  const images = scoresByImage(existsSync(perImage) ? (fromSnake(await readJson(perImage)) as MeasuredImage[]) : []);
  return { folder, splits: Array.isArray(splits) ? splits : [splits], folds, images };
}

function byFolds(a: Experiment, b: Experiment, notes: string[]): Comparison | null {
  const sides = ({ splits }: Experiment) => JSON.stringify(splits.map(({ train, val, test }) => [train, val, test ?? []]));
  if (sides(a) !== sides(b)) {
    notes.push("the splits differ, so folds are not paired");
    return null;
  }
  const both = a.folds.flatMap((one) => {
    const other = b.folds.find(({ fold }) => fold === one.fold);
    return one.error || !other || other.error ? [] : [[one, other] as const];
  });
  if (both.length < 2) {
    notes.push("fewer than two folds succeeded in both, so folds are not compared");
    return null;
  }
  const measured = both.map(([{ valImages, trainImages }]) => valImages / trainImages);
  const valOverTrain = mean(measured);
  const numbers = (side: 0 | 1) => both.map((pair) => foldMetrics(pair[side]));
  return comparePaired(numbers(0), numbers(1), { unit: "fold", valOverTrain });
}

function byImages(a: Experiment, b: Experiment, notes: string[]): Comparison | null {
  const names = [...a.images.keys()];
  if (names.length === 0 || names.length !== b.images.size || names.some((name) => !b.images.has(name))) {
    notes.push("results/per_image.json does not list the same images in both, so images are not paired");
    return null;
  }
  if ([...a.folds, ...b.folds].some(({ evaluatedOn }) => evaluatedOn === "training"))
    notes.push("an experiment was measured on its own training images, which flatters it");
  return compareImages(a.images, b.images);
}
