/**
 * Seeded draws of splits. The unit of a draw is the group: all images of one slide or patient, or a single image without a
 * group. The order of `sources` does not matter.
 */
import { CellsamError } from "../errors.js";
import { byBytes } from "./order.js";
import { Random } from "./random.js";
import type { Groups, Splits } from "./split.js";

export interface DrawOptions {
  sources: readonly string[];
  seed: number;
  /** A group is never divided. A source that is not listed is a group of its own. */
  groups?: Groups;
  /** Share of all sources that is held out as a test, in [0, 1). Default 0: none. */
  testRatio?: number;
  /** Groups that are held out as a test, in place of a drawn share. */
  testGroups?: readonly string[];
}

function refuse(message: string): CellsamError {
  return new CellsamError("ERR_SPLIT", message);
}

/**
 * round(n * valRatio) sources validate, at least one and never all. With groups, whole groups are drawn until that number is
 * reached.
 *
 * @throws CellsamError ERR_SPLIT for fewer than two groups, duplicates, a ratio out of range, groups that name unknown sources
 */
export function trainValSplit(options: DrawOptions & { valRatio: number }): Splits {
  const { sources, valRatio, seed } = options;
  if (!(valRatio > 0 && valRatio < 1)) throw refuse(`val_ratio must lie between 0 and 1, got ${valRatio}`);
  const { rest, members, test } = drawTest(options, 2);
  const wanted = Math.min(sources.length - 1, Math.max(1, Math.round(sources.length * valRatio)));
  // The last group always trains, however large the others are.
  const val = new Set(take(rest, members, wanted, 1));
  return { seed, ...sides(rest, members, val), ...test };
}

/**
 * k folds in which each source validates exactly once. Groups are assigned largest first, each to the fold with the fewest
 * images so far, so that folds are as even as groups allow; groups of the same size are assigned in an order drawn with `seed`.
 *
 * @throws CellsamError ERR_SPLIT when there are fewer groups than folds
 */
export function kFolds(options: DrawOptions & { k: number }): Splits[] {
  const { k, seed } = options;
  if (!Number.isInteger(k) || k < 2) throw refuse(`k_folds must be a whole number from 2, got ${k}`);
  const { rest, members, test } = drawTest(options, k, `k_folds ${k} needs at least ${k}`);
  const size = (key: string) => members.get(key)?.length ?? 0;
  const folds: string[][] = Array.from({ length: k }, () => []);
  // A stable sort: equal sizes stay in the drawn order.
  for (const key of [...rest].sort((a, b) => size(b) - size(a))) {
    const smallest = folds.reduce((best, fold) => (fold.length < best.length ? fold : best));
    smallest.push(...(members.get(key) ?? []));
  }
  return folds.map((val) => ({ seed, ...sides(rest, members, new Set(val)), ...test }));
}

/** One fold for each group, in order of their names. @throws CellsamError ERR_SPLIT for fewer than two groups */
export function leaveOneGroupOut(options: DrawOptions): Splits[] {
  const { rest, members, test } = drawTest(options, 2);
  const { seed } = options;
  return byBytes(rest).map((key) => ({
    seed,
    ...sides(rest, members, new Set(members.get(key))),
    ...test,
    note: `validates ${key}`,
  }));
}

/** All images train, except the test. */
export function fullDataset(options: DrawOptions): Splits {
  const { rest, members, test } = drawTest(options, 1);
  return { seed: options.seed, ...sides(rest, members, new Set()), ...test };
}

/** The groups in drawn order without those of the test, and the members of each. At least `left` groups must remain. */
function drawTest({ sources, seed, groups = {}, testRatio = 0, testGroups = [] }: DrawOptions, left: number, what?: string) {
  if (!(testRatio >= 0 && testRatio < 1)) throw refuse(`test_ratio must be at least 0 and below 1, got ${testRatio}`);
  const known = distinct(sources);
  const strangers = Object.keys(groups).filter((source) => !known.has(source));
  if (strangers.length > 0) throw refuse(`groups name sources that do not exist: ${strangers.join(", ")}`);
  const members = new Map<string, string[]>();
  for (const source of byBytes(known)) {
    // The prefix distinguishes a source without a group from a group of the same name.
    const key = Object.hasOwn(groups, source) ? `group ${groups[source]}` : `source ${source}`;
    members.set(key, [...(members.get(key) ?? []), source]);
  }
  const order = new Random(seed).shuffle([...members.keys()]);
  const named = testGroups.map((group) => `group ${group}`);
  const missing = named.filter((key) => !members.has(key));
  if (missing.length > 0) throw refuse(`test_groups: there is no ${missing.join(", ")}`);
  const wanted = testRatio > 0 ? Math.max(1, Math.round(known.size * testRatio)) : 0;
  const chosen = named.length > 0 ? named.flatMap((key) => members.get(key) ?? []) : take(order, members, wanted, left);
  const held = new Set(chosen);
  const rest = order.filter((key) => !held.has(members.get(key)?.[0] ?? ""));
  const unit = Object.keys(groups).length > 0 ? "groups" : "images";
  if (rest.length < left || (wanted > 0 && held.size === 0)) {
    const beside = held.size > 0 || wanted > 0 ? " beside the test" : "";
    throw refuse(`${what ?? `a split needs at least ${left === 1 ? "one" : "two"}`} ${unit}${beside}, there is ${rest.length}`);
  }
  return { rest, members, test: held.size > 0 ? { test: byBytes(held) } : {} };
}

/** Members of the first groups until `wanted` sources are reached; the last `keep` groups are never taken. */
function take(order: readonly string[], members: Map<string, string[]>, wanted: number, keep: number): string[] {
  const taken: string[] = [];
  for (const key of order.slice(0, Math.max(0, order.length - keep))) {
    if (taken.length >= wanted) break;
    taken.push(...(members.get(key) ?? []));
  }
  return taken;
}

function sides(rest: readonly string[], members: Map<string, string[]>, val: ReadonlySet<string>) {
  const sources = rest.flatMap((key) => members.get(key) ?? []);
  return { train: byBytes(sources.filter((source) => !val.has(source))), val: byBytes(val) };
}

function distinct(sources: readonly string[]): Set<string> {
  const set = new Set(sources);
  if (set.size !== sources.length)
    throw refuse(`sources holds duplicates: ${sources.filter((source, i) => sources.indexOf(source) !== i).join(", ")}`);
  return set;
}
