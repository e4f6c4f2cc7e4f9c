/** Which source images train and which validate. The unit is the source image (or a group of them), never the tile: tiles of one image overlap. */
import { readFile } from "node:fs/promises";
import { CellsamError } from "../errors.js";
import { Random } from "./random.js";

/** Stems of the source images on each side, sorted. `test` is held out from training and from every choice of model or threshold. */
export interface Splits {
  seed: number;
  train: string[];
  val: string[];
  test?: string[];
  /** Free text on how the split was made. */
  note?: string;
}

export interface SplitOptions {
  sources: readonly string[];
  /** Share of the sources that validate, inside (0, 1). */
  valRatio: number;
  seed: number;
  /** Group (slide, patient) of each source; a group is never divided. Sources that are not named are groups of their own. */
  groups?: Readonly<Record<string, string>>;
}

function refuse(message: string): CellsamError {
  return new CellsamError("ERR_SPLIT", message);
}

/**
 * A seeded random split: round(n * valRatio) sources validate, at least one and at most n - 1. With groups, whole groups are drawn until that
 * number is reached. The order of `sources` does not matter.
 *
 * @throws CellsamError ERR_SPLIT for fewer than two sources or groups, duplicates, a ratio outside (0, 1), groups that name unknown sources
 */
export function trainValSplit({ sources, valRatio, seed, groups = {} }: SplitOptions): Splits {
  if (!(valRatio > 0 && valRatio < 1)) throw refuse(`val_ratio must lie between 0 and 1, got ${valRatio}`);
  const known = distinct(sources, "sources");
  const strangers = Object.keys(groups).filter((stem) => !known.has(stem));
  if (strangers.length > 0) throw refuse(`groups name sources that do not exist: ${strangers.join(", ")}`);
  const members = new Map<string, string[]>();
  for (const stem of sorted(known)) {
    // The prefix keeps a source without a group apart from a group of the same name.
    const key = Object.hasOwn(groups, stem) ? `group ${groups[stem]}` : `source ${stem}`;
    members.set(key, [...(members.get(key) ?? []), stem]);
  }
  if (members.size < 2)
    throw refuse(
      `a split needs at least two ${Object.keys(groups).length > 0 ? "groups" : "images"}, there is ${members.size}`,
    );
  const wanted = Math.min(known.size - 1, Math.max(1, Math.round(known.size * valRatio)));
  const order = new Random(seed).shuffle([...members.keys()]);
  const val: string[] = [];
  // The last group always trains, however large the others are.
  for (const key of order.slice(0, -1)) {
    if (val.length >= wanted) break;
    val.push(...(members.get(key) ?? []));
  }
  const validating = new Set(val);
  return { seed, train: sorted([...known].filter((stem) => !validating.has(stem))), val: sorted(val) };
}

/**
 * Checks a split against the sources that exist; every source belongs to at most one side.
 *
 * @throws CellsamError ERR_SPLIT naming unknown stems, stems on two sides, or the empty side
 */
export function checkSplits(splits: Splits, sources: readonly string[]): void {
  const known = new Set(sources);
  const sides = Object.entries({ train: splits.train, val: splits.val, test: splits.test ?? [] });
  const place = new Map<string, string>();
  for (const [side, stems] of sides) {
    const unknown = stems.filter((stem) => !known.has(stem));
    if (unknown.length > 0) throw refuse(`splits: ${side} names images that do not exist: ${unknown.join(", ")}`);
    if (stems.length === 0 && side !== "test") throw refuse(`splits: ${side} is empty`);
    for (const stem of stems) {
      const other = place.get(stem);
      if (other) throw refuse(`splits: ${stem} stands in ${other} and in ${side}`);
      place.set(stem, side);
    }
  }
}

/** Reads splits.json: {seed, train, val, test?}. @throws CellsamError ERR_SPLIT */
export async function readSplits(path: string, sources: readonly string[]): Promise<Splits> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new CellsamError("ERR_SPLIT", `${path} cannot be read as JSON (${(error as Error).message})`, { cause: error });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw refuse(`${path} must hold an object {seed, train, val, test?}`);
  const { seed = 0, train, val, test, note, ...rest } = json as Record<string, unknown>;
  if (Object.keys(rest).length > 0) throw refuse(`${path} has unknown keys: ${Object.keys(rest).join(", ")}`);
  const stems = (name: string, value: unknown): string[] => {
    if (!Array.isArray(value) || value.some((stem) => typeof stem !== "string"))
      throw refuse(`${path}: ${name} must be a list of image names`);
    return value.map((stem: string) => stem.normalize("NFC"));
  };
  if (typeof seed !== "number" || !Number.isSafeInteger(seed)) throw refuse(`${path}: seed must be a whole number`);
  const splits: Splits = { seed, train: stems("train", train), val: stems("val", val) };
  if (test !== undefined) splits.test = stems("test", test);
  if (note !== undefined && typeof note !== "string") throw refuse(`${path}: note must be text`);
  if (note !== undefined) splits.note = note;
  checkSplits(splits, sources);
  return splits;
}

function distinct(stems: readonly string[], name: string): Set<string> {
  const set = new Set(stems);
  if (set.size !== stems.length)
    throw refuse(`${name} holds duplicates: ${stems.filter((stem, i) => stems.indexOf(stem) !== i).join(", ")}`);
  return set;
}

/** By UTF-8 bytes, as discover does. */
function sorted(stems: Iterable<string>): string[] {
  return [...stems].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
