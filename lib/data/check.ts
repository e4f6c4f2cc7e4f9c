/** The check before training: every file is decoded once, and all problems are reported in one error. */
import { CellsamError, type ErrorCode } from "../errors.js";
import { unknownCategories } from "./categories.js";
import type { Pair } from "./discover.js";
import { type CategoryCount, OBJECT_KINDS } from "./image.js";
import { imageFindings } from "./imageFindings.js";
import { isNumbered, labelFindings, type MaskFacts } from "./labelFindings.js";
import { type AsStored, pairImage, pairLabels, type ReadingOptions } from "./pair.js";
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

export interface CheckedPair extends Pair, AsStored {
  height: number;
  width: number;
  channels: 1 | 3;
  dtype: "uint8" | "uint16" | "float32";
  /** The colour of an image that showed one channel in colour and was read as grey. */
  oneColour?: string;
  /** Turned by its EXIF orientation, with no mask that shows whether it should be. */
  turnedUnasked?: boolean;
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
  /** What is probably wrong with the data set as a whole, one sentence each with what to do. */
  warnings: string[];
  /** Decisions about the data set as a whole. */
  notes: string[];
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
  const masks: (MaskFacts | undefined)[] = new Array(pairs.length);
  let next = 0;
  let done = 0;
  const worker = async () => {
    for (let i = next++; i < pairs.length; i = next++) {
      options.signal?.throwIfAborted();
      const pair = pairs[i];
      if (pair)
        checked[i] = await checkPair(pair, options, found[i] ?? [], (facts) => {
          masks[i] = facts;
        });
      options.onProgress?.(++done, pairs.length);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency ?? 2 }, worker));
  const { backgroundLabel = null, relabel = "check", minCellArea = 0, binaryMasks = false } = options;
  const rules = { backgroundLabel, relabel, minCellArea, binaryMasks };
  const findings = labelFindings(
    masks.filter((mask) => mask !== undefined),
    rules,
  );
  const problems = mergedProblems([...(options.problems ?? []), ...found.flat(), ...findings.problems]);
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
  return { pairs: good, cells, warnings: [...imageFindings(good), ...findings.warnings], notes: findings.notes };
}

async function checkPair(
  pair: Pair,
  options: CheckOptions,
  problems: Problem[],
  take: (facts: MaskFacts) => void,
): Promise<CheckedPair | undefined> {
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
  const asStored: AsStored = {};
  let image = await attempt(pair.image, pairImage(pair, options));
  const labels = () => pairLabels({ ...pair, ...asStored, size }, { ...options, facts: true });
  const size = image && ([image.shape[0], image.shape[1]] as const);
  const needsSize = !size && OBJECT_KINDS.some((kind) => kind === pair.annotation);
  let mask = pair.mask === undefined || needsSize ? undefined : await attempt(pair.mask, labels());
  if (mask?.facts) take({ path: pair.mask ?? "", numbered: isNumbered(pair.annotation), facts: mask.facts });
  if (!image || (pair.mask !== undefined && !mask)) return undefined;
  if (mask && !sameSize(image, mask)) {
    const fit = fitting(image, mask);
    if (!fit) {
      problems.push({
        code: "ERR_SIZE_MISMATCH",
        path: pair.mask ?? "",
        message: `the mask has ${sizeOf(mask)}, its image ${pair.image} has ${sizeOf(image)}`,
        fix: "give both the same height and width",
      });
      return undefined;
    }
    Object.assign(asStored, fit);
    if (fit.imageAsStored) image = await pairImage({ ...pair, ...asStored }, options);
    if (fit.maskAsStored) mask = await labels();
  }
  const [height, width] = image.shape;
  const notes = [...image.notes, ...(mask?.notes ?? [])];
  return {
    ...pair,
    ...asStored,
    height,
    width,
    channels: image.shape.length === 2 ? 1 : 3,
    dtype: image.dtype,
    ...(image.oneColour !== undefined && { oneColour: image.oneColour }),
    ...(image.stored && pair.mask === undefined && { turnedUnasked: true }),
    cells: mask?.count ?? 0,
    notes,
    tallies: mask?.tallies ?? [],
    categories: mask?.categories ?? [],
  };
}

type Sized = { shape: readonly number[]; stored?: { shape: readonly number[]; orientation: number } };

function sameSize(a: { shape: readonly number[] }, b: { shape: readonly number[] }): boolean {
  return a.shape[0] === b.shape[0] && a.shape[1] === b.shape[1];
}

/** Which of the two must be taken as it is stored, so that they fit; undefined where they never do. */
function fitting(image: Sized, mask: Sized): AsStored | undefined {
  if (image.stored && sameSize(image.stored, mask)) return { imageAsStored: true };
  if (mask.stored && sameSize(image, mask.stored)) return { maskAsStored: true };
  if (image.stored && mask.stored && sameSize(image.stored, mask.stored)) return { imageAsStored: true, maskAsStored: true };
  return undefined;
}

function sizeOf({ shape, stored }: Sized): string {
  const pixels = `${shape[0]} x ${shape[1]} pixels`;
  return stored ? `${pixels} (stored as ${stored.shape.join(" x ")}, with the EXIF orientation ${stored.orientation})` : pixels;
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
