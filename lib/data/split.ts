/**
 * Which source images train, validate and are held out. The unit of a split is the source image, or a group of them, and never
 * the tile, since tiles of one image overlap.
 */
import { readFile } from "node:fs/promises";
import { CellsamError } from "../errors.js";
import { byBytes } from "./order.js";

/**
 * Names of the source images on each side, sorted. `test` is held out from training and from every choice of a model or
 * threshold.
 */
export interface Splits {
  seed: number;
  train: string[];
  /** Empty when everything trains. */
  val: string[];
  test?: string[];
  /** Free text on how the split was made. */
  note?: string;
}

/** Group (slide, patient) of each source. */
export type Groups = Readonly<Record<string, string>>;

export interface CheckOptions {
  /** A split may have no validation images. Default false. */
  mayLackValidation?: boolean;
  /** No group may be on two sides. */
  groups?: Groups;
  /** Images besides the sources that may be in `train` and nowhere else. */
  trainingOnly?: readonly string[];
}

function refuse(message: string): CellsamError {
  return new CellsamError("ERR_SPLIT", message);
}

/**
 * Checks a split against the sources that exist; every source, and every group, belongs to at most one side.
 *
 * @throws CellsamError ERR_SPLIT for unknown names, names or groups on two sides, or an empty side
 */
export function checkSplits(
  splits: Splits,
  sources: readonly string[],
  { mayLackValidation = false, groups = {}, trainingOnly = [] }: CheckOptions = {},
): void {
  const known = new Set([...sources, ...trainingOnly]);
  const sides = Object.entries({ train: splits.train, val: splits.val, test: splits.test ?? [] });
  const sideOf = new Map<string, string>();
  const groupSides = new Map<string, string>();
  for (const [side, names] of sides) {
    const unknown = names.filter((source) => !known.has(source));
    if (unknown.length > 0) throw refuse(`splits: ${side} names images that do not exist: ${unknown.join(", ")}`);
    const misplaced = side === "train" ? [] : trainingOnly.filter((source) => names.includes(source));
    if (misplaced.length > 0) {
      const why =
        "images of additional_datasets, which only train; put their files into img_path and mask_path to use them there";
      throw refuse(`splits: ${side} names ${why}: ${misplaced.join(", ")}`);
    }
    if (names.length === 0 && side === "train") throw refuse("splits: train is empty");
    if (names.length === 0 && side === "val" && !mayLackValidation)
      throw refuse("splits: val is empty; only the strategy full_dataset trains without validation images");
    for (const source of names) {
      const other = sideOf.get(source);
      if (other) throw refuse(`splits: ${source} is in ${other} and in ${side}`);
      sideOf.set(source, side);
      const group = Object.hasOwn(groups, source) ? groups[source] : undefined;
      if (group === undefined) continue;
      const groupSide = groupSides.get(group) ?? side;
      if (groupSide !== side) throw refuse(`splits: the group ${group} is in ${groupSide} and in ${side}`);
      groupSides.set(group, side);
    }
  }
}

/**
 * Checks the splits of an experiment, each by itself and all together: no split may train on or validate with an image that
 * another one holds out as a test.
 *
 * @throws CellsamError ERR_SPLIT
 */
export function checkFolds(folds: readonly Splits[], sources: readonly string[], options: CheckOptions = {}): void {
  if (folds.length === 0) throw refuse("splits: there is none");
  for (const split of folds) checkSplits(split, sources, options);
  const test = new Set(folds.flatMap((split) => split.test ?? []));
  for (const [i, { train, val }] of folds.entries()) {
    const leaked = [...train, ...val].filter((source) => test.has(source));
    if (leaked.length > 0) throw refuse(`splits: fold ${i + 1} uses test images of another fold: ${leaked.join(", ")}`);
  }
}

/**
 * Checks that in every split some image that trains has cells, and some that validates, where any does. `empty` are the images
 * without a cell.
 *
 * @throws CellsamError ERR_SPLIT that names every such side
 */
export function checkCells(folds: readonly Splits[], empty: ReadonlySet<string>): void {
  const problems = folds.flatMap(({ train, val }, i) =>
    Object.entries({ train, val }).flatMap(([side, names]) => {
      if (names.length === 0 || names.some((source) => !empty.has(source))) return [];
      const where = folds.length === 1 ? side : `${side} of fold ${i + 1}`;
      const some = `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""}`;
      return [`${where} has no image with cells (${some})`];
    }),
  );
  if (problems.length > 0) throw refuse(`splits: ${problems.join("; ")}; put an image with cells on each side`);
}

/**
 * Splits in which the images of `trainingOnly` train too. Where an image of the same group validates or tests, they are left
 * out of that split, since the result would look better than it is.
 */
export function withTrainingOnly(splits: readonly Splits[], trainingOnly: readonly string[], groups: Groups = {}): Splits[] {
  const groupOf = (source: string) => (Object.hasOwn(groups, source) ? groups[source] : undefined);
  return splits.map((split) => {
    const held = new Set([...split.val, ...(split.test ?? [])].map(groupOf).filter((group) => group !== undefined));
    const own = split.train.filter((source) => !trainingOnly.includes(source));
    const free = trainingOnly.filter((source) => {
      const group = groupOf(source);
      return group === undefined || !held.has(group);
    });
    return { ...split, train: [...own, ...free] };
  });
}

/**
 * Reads splits.json: one split {seed, train, val, test?}, or a list of them, one a fold.
 * @throws CellsamError ERR_SPLIT
 */
export async function readFolds(path: string, sources: readonly string[], options: CheckOptions = {}): Promise<Splits[]> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new CellsamError("ERR_SPLIT", `${path} cannot be read as JSON (${(error as Error).message})`, { cause: error });
  }
  const folds = Array.isArray(json)
    ? json.map((entry, i) => parseSplit(entry, `${path}, fold ${i + 1}`))
    : [parseSplit(json, path)];
  checkFolds(folds, sources, options);
  return folds;
}

/** Reads a splits.json that holds one split. @throws CellsamError ERR_SPLIT */
export async function readSplits(path: string, sources: readonly string[], options: CheckOptions = {}): Promise<Splits> {
  const [split, ...more] = await readFolds(path, sources, options);
  if (more.length > 0) {
    throw refuse(`${path} holds ${more.length + 1} splits; use it with the strategy k_fold or leave_one_group_out`);
  }
  return split as Splits;
}

function parseSplit(json: unknown, where: string): Splits {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw refuse(`${where} must hold an object {seed, train, val, test?}`);
  const { seed = 0, train, val, test, note, ...rest } = json as Record<string, unknown>;
  if (Object.keys(rest).length > 0) throw refuse(`${where} has unknown keys: ${Object.keys(rest).join(", ")}`);
  const names = (key: string, value: unknown): string[] => {
    if (!Array.isArray(value) || value.some((source) => typeof source !== "string"))
      throw refuse(`${where}: ${key} must be a list of image names`);
    return byBytes(value.map((source: string) => source.normalize("NFC")));
  };
  if (typeof seed !== "number" || !Number.isSafeInteger(seed)) throw refuse(`${where}: seed must be a whole number`);
  const splits: Splits = { seed, train: names("train", train), val: names("val", val) };
  if (test !== undefined) splits.test = names("test", test);
  if (note !== undefined && typeof note !== "string") throw refuse(`${where}: note must be text`);
  if (note !== undefined) splits.note = note;
  return splits;
}
