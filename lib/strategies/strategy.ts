/** A training strategy turns the list of source images into one or more splits; each split is one training. */
import type { DrawOptions } from "../data/draw.js";
import type { Groups, Splits } from "../data/split.js";
import { CellsamError, type Failure } from "../errors.js";
import type { FoldMetrics } from "../stats/folds.js";

export type { Splits } from "../data/split.js";

/** An object of this shape, passed to ExperimentRunner, decides the splits. */
export interface Strategy {
  /** Appears in the result files. */
  readonly name: string;
  /** `sources` are the names of the images without extension, sorted. Every split starts training from the same model. */
  prepareSplits(sources: readonly string[], known?: KnownGroups): Splits[] | Promise<Splits[]>;
  /** Whether splits may have no validation images. */
  readonly mayLackValidation?: boolean;
  /** Gets the results of the experiment that ran with this strategy. */
  takeResults?(results: readonly StrategyResult[]): void;
}

/** What the runner knows of the images besides their names. */
export interface KnownGroups {
  /** Sets of near-duplicates, each to be kept on one side. */
  duplicates?: readonly (readonly string[])[];
  /** Images beside `sources` that train in every split and never validate: those of `additionalDatasets`. */
  trainingOnly?: readonly string[];
  /** Images, of both kinds, whose masks hold no cell. */
  empty?: readonly string[];
}

/** What a draw is told beside the names and groups. */
export type DrawnContent = Required<Pick<DrawOptions, "empty" | "cellsTrainAnyway">>;

export interface DrawnOptions {
  /** Default 23. */
  randomSeed?: number;
  /** Share of the images that is held out as a test. Default 0. */
  testRatio?: number;
  /** Groups that are held out as a test, in place of a drawn share. */
  testGroups?: readonly string[];
  /** A file that names the group of every image, or the groups themselves. */
  groups?: string | Groups | null;
  /** Path of a splits.json to use in place of a draw. */
  splits?: string | null;
}

const drawOptions = ["testRatio", "testGroups", "groups", "splits", "randomSeed"] satisfies (keyof DrawnOptions)[];

/** One training's result: anything with metrics, or with an error. */
export interface StrategyResult extends FoldMetrics {
  /** Counted from 1. */
  fold: number;
  error?: Failure | null;
}

/** The base of the strategies that draw their splits with a seed or read them from a file. */
export abstract class DrawnStrategy implements Strategy {
  abstract readonly name: string;
  readonly mayLackValidation: boolean = false;
  readonly randomSeed: number;
  readonly testRatio: number;
  readonly testGroups: readonly string[];
  readonly groups: string | Groups | null;
  readonly splits: string | null;

  constructor(options: DrawnOptions = {}, own: readonly string[] = []) {
    const known = [...drawOptions, ...own];
    const unknown = Object.keys(options).filter((key) => !known.includes(key));
    if (unknown.length > 0) {
      const message = `${new.target.name}: unknown option ${unknown.join(", ")}; known are ${known.join(", ")}`;
      throw new CellsamError("ERR_CONFIG", message, { detail: { unknown } });
    }
    this.randomSeed = options.randomSeed ?? 23;
    this.testRatio = options.testRatio ?? 0;
    this.testGroups = options.testGroups ?? [];
    this.groups = options.groups ?? null;
    this.splits = options.splits ?? null;
  }

  /** @throws CellsamError ERR_SPLIT */
  async prepareSplits(sources: readonly string[], known: KnownGroups = {}): Promise<Splits[]> {
    const { duplicates = [], trainingOnly = [], empty = [] } = known;
    const { checkFolds, readFolds, withTrainingOnly } = await import("../data/split.js");
    const { readGroups } = await import("../data/groups.js");
    const groups = typeof this.groups === "string" ? await readGroups(this.groups, sources, trainingOnly) : (this.groups ?? {});
    const { mayLackValidation } = this;
    const together = joined(groups, duplicates);
    // Images that only train are not drawn from.
    const drawn = Object.fromEntries(Object.entries(together).filter(([source]) => !trainingOnly.includes(source)));
    const folds = this.splits
      ? this.choose(await readFolds(this.splits, sources, { mayLackValidation, groups, trainingOnly }))
      : this.draw(sources, drawn, renamed(this.testGroups, groups, together), {
          empty: sources.filter((source) => empty.includes(source)),
          cellsTrainAnyway: trainingOnly.some((source) => !empty.includes(source)),
        });
    checkFolds(folds, sources, { mayLackValidation, groups, trainingOnly });
    return withTrainingOnly(folds, trainingOnly, together);
  }

  /**
   * Draws the splits. `testGroups` are names in `groups`, in which near-duplicates may have joined several of the configured
   * groups. No side of a split may be without a cell.
   */
  protected abstract draw(
    sources: readonly string[],
    groups: Groups,
    testGroups: readonly string[],
    content: DrawnContent,
  ): Splits[];

  /** Checks that the splits of a file fit the strategy, and returns them. */
  protected choose(folds: Splits[]): Splits[] {
    if (folds.length === 1) return folds;
    const message = `${this.splits} holds ${folds.length} splits; use it with the strategy k_fold or leave_one_group_out`;
    throw new CellsamError("ERR_SPLIT", message);
  }
}

/**
 * The splits of any strategy, checked, with the images that only train on the training side.
 * @throws CellsamError ERR_SPLIT
 */
export async function preparedSplits(strategy: Strategy, sources: readonly string[], known: KnownGroups): Promise<Splits[]> {
  const { trainingOnly = [], empty = [] } = known;
  const { checkCells, checkFolds, withTrainingOnly } = await import("../data/split.js");
  const drawn = await strategy.prepareSplits(sources, known);
  checkFolds(drawn, sources, { mayLackValidation: strategy.mayLackValidation ?? false, trainingOnly });
  const splits = strategy instanceof DrawnStrategy ? drawn : withTrainingOnly(drawn, trainingOnly);
  checkCells(splits, new Set(empty));
  return splits;
}

/** A sentence for each split in which some of `trainingOnly` do not train. */
export function leftOutNotes(splits: readonly Splits[], trainingOnly: readonly string[]): string[] {
  return splits.flatMap(({ train }, i) => {
    const left = trainingOnly.filter((source) => !train.includes(source));
    if (left.length === 0) return [];
    const some = `${left.slice(0, 3).join(", ")}${left.length > 3 ? ", ..." : ""}`;
    return [
      `fold ${i + 1}: ${left.length} images of additional_datasets do not train, because images of their group validate or test: ${some}`,
    ];
  });
}

/** Groups in which near-duplicates are in one group, together with all images that share a group with one of them. */
function joined(groups: Groups, duplicates: readonly (readonly string[])[]): Groups {
  const result: Record<string, string> = { ...groups };
  for (const [i, set] of duplicates.entries()) {
    const old = new Set(set.flatMap((source) => (Object.hasOwn(result, source) ? [result[source] as string] : [])));
    const own = old.size > 0 ? [...old].sort().join(" + ") : `duplicates ${i + 1}`;
    for (const [source, group] of Object.entries(result)) if (old.has(group)) result[source] = own;
    for (const source of set) result[source] = own;
  }
  return result;
}

/** The names of the groups after they were joined. A name that is no group stays, and is refused by the draw. */
function renamed(names: readonly string[], before: Groups, after: Groups): string[] {
  const now = names.map((name) => {
    const member = Object.keys(before).find((source) => before[source] === name && Object.hasOwn(after, source));
    return member === undefined ? name : (after[member] as string);
  });
  return [...new Set(now)];
}
