/**
 * Seeded draws of splits. The unit of a draw is the group: all images of one slide or patient, or a single image without a
 * group. The order of `sources` does not matter. A side without a cell can neither train nor be measured: a draw that has one
 * is made again, stratified by whether a group holds cells.
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
  /** Sources whose masks hold no cell. */
  empty?: readonly string[];
  /** Whether images beside the sources, which train in every split, hold cells. Default false. */
  cellsTrainAnyway?: boolean;
}

function refuse(message: string): CellsamError {
  return new CellsamError("ERR_SPLIT", message);
}

/**
 * round(n * valRatio) sources validate, at least one and never all. With groups, whole groups are drawn until that number is
 * reached.
 *
 * @throws CellsamError ERR_SPLIT for fewer than two groups (with cells), duplicates, a ratio out of range, groups that name
 * unknown sources
 */
export function trainValSplit(options: DrawOptions & { valRatio: number }): Splits {
  const { sources, valRatio, seed, cellsTrainAnyway = false } = options;
  if (!(valRatio > 0 && valRatio < 1)) throw refuse(`val_ratio must lie between 0 and 1, got ${valRatio}`);
  const wanted = Math.min(sources.length - 1, Math.max(1, Math.round(sources.length * valRatio)));
  const needed: Needed = { groups: 2, withCells: cellsTrainAnyway ? 1 : 2, why: "training and validation need one each" };
  const [split] = spreadCells(options, needed, (strata) => {
    const { rest, members, test } = drawTest(options, needed, strata);
    // The last group always trains, however large the others are.
    const val = new Set(take(rest, members, { wanted, keep: 1, keepWithCells: needed.withCells - 1, strata }));
    return [{ seed, ...sides(rest, members, val), ...test }];
  });
  return split as Splits;
}

/**
 * k folds in which each source validates exactly once. Groups are assigned largest first, each to the fold with the fewest
 * images so far, so that folds are as even as groups allow; groups of the same size are assigned in an order drawn with `seed`.
 *
 * @throws CellsamError ERR_SPLIT when there are fewer groups (with cells) than folds
 */
export function kFolds(options: DrawOptions & { k: number }): Splits[] {
  const { k, seed } = options;
  if (!Number.isInteger(k) || k < 2) throw refuse(`k_folds must be a whole number from 2, got ${k}`);
  const needed: Needed = { groups: k, withCells: k, what: `k_folds ${k} needs at least ${k}`, why: "every fold validates one" };
  return spreadCells(options, needed, (strata) => {
    const { rest, members, test } = drawTest(options, needed, strata);
    const size = (key: string) => members.get(key)?.length ?? 0;
    const folds: string[][] = Array.from({ length: k }, () => []);
    const filled = (key: string) => Number(strata?.has(key) ?? false);
    // A stable sort: equal sizes stay in the drawn order. Groups with cells come first, so that every fold gets one of them.
    for (const key of [...rest].sort((a, b) => filled(b) - filled(a) || size(b) - size(a))) {
      const smallest = folds.reduce((best, fold) => (fold.length < best.length ? fold : best));
      smallest.push(...(members.get(key) ?? []));
    }
    return folds.map((val) => ({ seed, ...sides(rest, members, new Set(val)), ...test }));
  });
}

/**
 * One fold for each group, in order of their names.
 * @throws CellsamError ERR_SPLIT for fewer than two groups, and groups without a cell
 */
export function leaveOneGroupOut(options: DrawOptions): Splits[] {
  const { seed } = options;
  const needed: Needed = { groups: 2, withCells: 2, why: "each group validates a model that was trained on the others" };
  return spreadCells(options, needed, (strata) => {
    const { rest, members, test } = drawTest(options, needed, strata);
    const hollow = strata ? byBytes(rest.filter((key) => !strata.has(key))) : [];
    if (hollow.length > 0) {
      const names = hollow.map((key) => key.replace(/^group /, "")).join(", ");
      const advice = "give their images the group of others, take them out, or use the strategy k_fold";
      throw refuse(`groups without a cell cannot validate: ${names}; ${advice}`);
    }
    return byBytes(rest).map((key) => ({
      seed,
      ...sides(rest, members, new Set(members.get(key))),
      ...test,
      note: `validates ${key}`,
    }));
  });
}

/** All images train, except the test. */
export function fullDataset(options: DrawOptions): Splits {
  const needed: Needed = { groups: 1, withCells: options.cellsTrainAnyway ? 0 : 1, why: "training needs one" };
  const [split] = spreadCells(options, needed, (strata) => {
    const { rest, members, test } = drawTest(options, needed, strata);
    return [{ seed: options.seed, ...sides(rest, members, new Set()), ...test }];
  });
  return split as Splits;
}

/** How many groups a draw needs beside the test. */
interface Needed {
  groups: number;
  withCells: number;
  /** Beginning of the message when there are fewer. */
  what?: string;
  /** Why so many need cells. */
  why: string;
}

/** The keys of groups with cells. */
type Strata = ReadonlySet<string> | undefined;

/**
 * The draw by chance alone; where that leaves a side without a cell, the stratified one. Draws that can be used are therefore
 * the same whatever the images hold.
 */
function spreadCells(options: DrawOptions, needed: Needed, draw: (strata: Strata) => Splits[]): Splits[] {
  const { sources, empty = [], cellsTrainAnyway = false, groups = {}, testGroups = [] } = options;
  const hollow = new Set(empty);
  const drawn = draw(undefined);
  const holdsCells = (side: readonly string[]) => side.length === 0 || side.some((source) => !hollow.has(source));
  if (drawn.every(({ train, val }) => (cellsTrainAnyway || holdsCells(train)) && holdsCells(val))) return drawn;
  const filled = sources.filter((source) => !hollow.has(source));
  const strata = new Set(filled.map((source) => keyOf(source, groups)));
  const held = new Set(testGroups.map((group) => `group ${group}`));
  const left = [...strata].filter((key) => !held.has(key));
  if (left.length < needed.withCells) {
    const unit = Object.keys(groups).length > 0 ? "groups" : "images";
    const names = byBytes(left.map((key) => key.replace(/^(group|source) /, ""))).join(", ");
    const beside = held.size > 0 ? " beside the test" : "";
    const there = left.length === 0 ? "there is none" : `there ${left.length === 1 ? "is" : "are"} ${left.length} (${names})`;
    const fewer = needed.what && left.length >= 2 ? `set k_folds to ${left.length}, ` : "";
    const without = needed.withCells > 1 ? ", or use the strategy full_dataset, which needs no validation" : "";
    throw refuse(
      `${needed.what ?? `a split needs at least ${needed.withCells}`} ${unit} with cells${beside}, since ${needed.why}; ` +
        `${there}: ${fewer}annotate cells in more ${unit}${without}`,
    );
  }
  return draw(strata);
}

/** The prefix distinguishes a source without a group from a group of the same name. */
function keyOf(source: string, groups: Groups): string {
  return Object.hasOwn(groups, source) ? `group ${groups[source]}` : `source ${source}`;
}

/** The groups in drawn order without those of the test, and the members of each. */
function drawTest(options: DrawOptions, { groups: left, withCells, what }: Needed, strata: Strata) {
  const { sources, seed, groups = {}, testRatio = 0, testGroups = [] } = options;
  if (!(testRatio >= 0 && testRatio < 1)) throw refuse(`test_ratio must be at least 0 and below 1, got ${testRatio}`);
  const known = distinct(sources);
  const strangers = Object.keys(groups).filter((source) => !known.has(source));
  if (strangers.length > 0) throw refuse(`groups name sources that do not exist: ${strangers.join(", ")}`);
  const members = new Map<string, string[]>();
  for (const source of byBytes(known)) {
    const key = keyOf(source, groups);
    members.set(key, [...(members.get(key) ?? []), source]);
  }
  const order = new Random(seed).shuffle([...members.keys()]);
  const named = testGroups.map((group) => `group ${group}`);
  const missing = named.filter((key) => !members.has(key));
  if (missing.length > 0) throw refuse(`test_groups: there is no ${missing.join(", ")}`);
  const wanted = testRatio > 0 ? Math.max(1, Math.round(known.size * testRatio)) : 0;
  const chosen =
    named.length > 0
      ? named.flatMap((key) => members.get(key) ?? [])
      : take(order, members, { wanted, keep: left, keepWithCells: withCells, strata });
  const held = new Set(chosen);
  const rest = order.filter((key) => !held.has(members.get(key)?.[0] ?? ""));
  const unit = Object.keys(groups).length > 0 ? "groups" : "images";
  if (rest.length < left || (wanted > 0 && held.size === 0)) {
    const beside = held.size > 0 || wanted > 0 ? " beside the test" : "";
    throw refuse(`${what ?? `a split needs at least ${left === 1 ? "one" : "two"}`} ${unit}${beside}, there is ${rest.length}`);
  }
  return { rest, members, test: held.size > 0 ? { test: byBytes(held) } : {} };
}

/**
 * Members of the first groups until `wanted` sources are reached; the last `keep` groups are never taken. With `strata`, groups
 * with and without cells are taken in proportion, at least one with cells where more than `keepWithCells` have them.
 */
function take(
  order: readonly string[],
  members: Map<string, string[]>,
  { wanted, keep, keepWithCells, strata }: { wanted: number; keep: number; keepWithCells: number; strata: Strata },
): string[] {
  const first = (keys: readonly string[], many: number, kept: number): string[] => {
    const taken: string[] = [];
    for (const key of keys.slice(0, Math.max(0, keys.length - kept))) {
      if (taken.length >= many) break;
      taken.push(...(members.get(key) ?? []));
    }
    return taken;
  };
  if (!strata) return first(order, wanted, keep);
  const size = (keys: readonly string[]) => keys.reduce((sum, key) => sum + (members.get(key)?.length ?? 0), 0);
  const filled = order.filter((key) => strata.has(key));
  const hollow = order.filter((key) => !strata.has(key));
  const share = Math.round((wanted * size(filled)) / size(order));
  const withCells = first(filled, wanted > 0 ? Math.max(1, share) : 0, keepWithCells);
  const filledLeft = filled.filter((key) => !withCells.includes(members.get(key)?.[0] ?? "")).length;
  const without = first(hollow, wanted - withCells.length, Math.max(0, keep - filledLeft));
  return [...withCells, ...without];
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
