/** The check before training: every file is decoded once, and all problems are reported in one error. */
import { CellsamError, type ErrorCode } from "../errors.js";
import { unknownCategories } from "./categories.js";
import type { Pair } from "./discover.js";
import { type CategoryCount, OBJECT_KINDS } from "./image.js";
import { pairImage, pairLabels, type ReadingOptions } from "./pair.js";
import type { Problem, Tally } from "./problem.js";
import { mergedProblems, problemsOf } from "./tally.js";

export interface CheckOptions extends ReadingOptions {
  /** Problems that were found before (by `discover`), to be reported together with those found here. */
  problems?: readonly Problem[];
  /** Files decoded at a time. Default 2. */
  concurrency?: number;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

export interface CheckedPair extends Pair {
  height: number;
  width: number;
  channels: 1 | 3;
  dtype: "uint8" | "uint16" | "float32";
  /** Number of cells in the mask; 0 for an empty field or without a mask. */
  cells: number;
  /** Decisions made while reading, one sentence each. */
  notes: string[];
  /** Counts of decisions about objects of an annotation. */
  tallies: Tally[];
  /** Categories of the objects of an annotation. */
  categories: CategoryCount[];
}

export interface CheckedDataset {
  pairs: CheckedPair[];
  cells: number;
}

const FIXES: Partial<Record<ErrorCode, string>> = {
  ERR_FILE: "restore the file or take it out of the folder",
  ERR_IMAGE_BROKEN: "copy or export the file again",
  ERR_IMAGE_UNSUPPORTED: "change the settings that read it, or convert the file",
  ERR_IMAGE_TOO_LARGE: "cut the image into fields, or raise max_pixels",
  ERR_IMAGE_VALUES: "change the settings that read it, or convert the image",
  ERR_LABEL_VALUES: "change the settings that read it, or correct the mask",
  ERR_ANNOTATION: "repair the annotation",
};

/**
 * Decodes all pairs and compares sizes.
 *
 * @throws CellsamError ERR_DATASET with `detail.problems: Problem[]` (everything, in the order of the pairs) when anything is
 * wrong
 */
export async function checkDataset(pairs: readonly Pair[], options: CheckOptions = {}): Promise<CheckedDataset> {
  const checked: (CheckedPair | undefined)[] = new Array(pairs.length);
  const found: Problem[][] = pairs.map(() => []);
  let next = 0;
  let done = 0;
  const worker = async () => {
    for (let i = next++; i < pairs.length; i = next++) {
      options.signal?.throwIfAborted();
      const pair = pairs[i];
      if (pair) checked[i] = await checkPair(pair, options, found[i] ?? []);
      options.onProgress?.(++done, pairs.length);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency ?? 2 }, worker));
  const problems = mergedProblems([...(options.problems ?? []), ...found.flat()]);
  const good = checked.filter((pair) => pair !== undefined);
  const cells = good.reduce((sum, pair) => sum + pair.cells, 0);
  if (problems.length === 0) problems.push(...unknownCategories(good, options.categories));
  if (problems.length === 0 && cells === 0 && good.some((pair) => pair.mask !== undefined)) {
    problems.push({
      code: "ERR_NO_DATA",
      path: good[0]?.mask ?? "",
      message: `no mask holds a cell, in none of ${good.length} images`,
      fix: "check that these are the masks or annotations of these images",
    });
  }
  if (problems.length > 0) throw datasetError(problems);
  return { pairs: good, cells };
}

async function checkPair(pair: Pair, options: CheckOptions, problems: Problem[]): Promise<CheckedPair | undefined> {
  const attempt = async <T>(path: string, decode: Promise<T>): Promise<T | undefined> => {
    try {
      return await decode;
    } catch (error) {
      const { code } = error as CellsamError;
      if (code === "ERR_INTERNAL") throw error; // not a problem of the file
      problems.push(...problemsOf(path, error as CellsamError, FIXES[code] ?? "check the file"));
      return undefined;
    }
  };
  const image = await attempt(pair.image, pairImage(pair, options));
  const size = image && ([image.shape[0], image.shape[1]] as const);
  const mask =
    pair.mask === undefined || (!size && OBJECT_KINDS.some((kind) => kind === pair.annotation))
      ? undefined
      : await attempt(pair.mask, pairLabels({ ...pair, size }, options));
  if (!image || (pair.mask !== undefined && !mask)) return undefined;
  const [height, width] = image.shape;
  if (mask && (mask.shape[0] !== height || mask.shape[1] !== width)) {
    const message = `the mask has ${mask.shape.join(" x ")} pixels, its image ${pair.image} has ${height} x ${width}`;
    problems.push({ code: "ERR_SIZE_MISMATCH", path: pair.mask ?? "", message, fix: "give both the same height and width" });
    return undefined;
  }
  const notes = [...image.notes, ...(mask?.notes ?? [])];
  return {
    ...pair,
    height,
    width,
    channels: image.shape.length === 2 ? 1 : 3,
    dtype: image.dtype,
    cells: mask?.count ?? 0,
    notes,
    tallies: mask?.tallies ?? [],
    categories: mask?.categories ?? [],
  };
}

const SHOWN = 20;

/** One error for all problems; the message shows the first twenty, `detail.problems` has them all. */
export function datasetError(problems: readonly Problem[]): CellsamError {
  const lines = problems.slice(0, SHOWN).map(({ path, message, fix }) => `  ${path}: ${message} -> ${fix}`);
  if (problems.length > SHOWN) lines.push(`  ... and ${problems.length - SHOWN} more`);
  const head = problems.length === 1 ? "one problem in the data set" : `${problems.length} problems in the data set`;
  return new CellsamError("ERR_DATASET", `${head}; nothing was started:\n${lines.join("\n")}`, {
    detail: { problems: [...problems] },
  });
}
