/** What a training strategy is: it turns the list of source images into one or more splits, one training each. */
import type { Groups, Splits } from "../data/split.js";
import { CellsamError } from "../errors.js";
import { strictJson, writeJson } from "../monitor/json.js";
import { aggregateMetrics, type FoldMetrics, foldMetrics, summaryLines } from "../stats/folds.js";

export type { Splits } from "../data/split.js";

/** Pass an object of this shape to ExperimentRunner to decide the splits yourself. */
export interface Strategy {
  /** Named in the result files. */
  readonly name: string;
  /** `sources` are the names of the images without extension, sorted. Each split is trained from the same start. */
  prepareSplits(sources: readonly string[], known?: KnownGroups): Splits[] | Promise<Splits[]>;
  /** Whether splits may have no validation images. */
  readonly mayLackValidation?: boolean;
}

/** What the runner knows beside the names of the images. */
export interface KnownGroups {
  /** Images that show the same, to be kept on one side. */
  duplicates?: readonly (readonly string[])[];
  /** Images beside `sources` that train in every split and never validate: those of `additionalDatasets`. */
  trainingOnly?: readonly string[];
}

export interface DrawnOptions {
  /** Default 23. */
  randomSeed?: number;
  testRatio?: number;
  testGroups?: readonly string[];
  /** A file that names the group of every image, or the groups themselves. */
  groups?: string | Groups | null;
  /** A splits.json to use instead of a draw. */
  splits?: string | null;
}

const drawOptions = ["testRatio", "testGroups", "groups", "splits", "randomSeed"] satisfies (keyof DrawnOptions)[];

/** One training's result: anything with metrics, or with an error. */
export interface StrategyResult extends FoldMetrics {
  fold: number;
  error?: { code: string; message: string } | null;
}

/** Trains one split; `fold` counts from 1. */
export type TrainFold<T> = (fold: number, split: Splits) => Promise<T>;

/** The base of the strategies that draw their splits with a seed or read them from a file. */
export abstract class DrawnStrategy implements Strategy {
  abstract readonly name: string;
  readonly mayLackValidation: boolean = false;
  readonly randomSeed: number;
  readonly testRatio: number;
  readonly testGroups: readonly string[];
  readonly groups: string | Groups | null;
  readonly splits: string | null;
  #results: StrategyResult[] = [];

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
    const { duplicates = [], trainingOnly = [] } = known;
    const { checkFolds, readFolds, withTrainingOnly } = await import("../data/split.js");
    const { readGroups } = await import("../data/groups.js");
    const groups = typeof this.groups === "string" ? await readGroups(this.groups, sources, trainingOnly) : (this.groups ?? {});
    const { mayLackValidation } = this;
    const together = joined(groups, duplicates);
    // Images that only train take no part in a draw.
    const drawn = Object.fromEntries(Object.entries(together).filter(([stem]) => !trainingOnly.includes(stem)));
    const folds = this.splits
      ? this.choose(await readFolds(this.splits, sources, { mayLackValidation, groups, trainingOnly }))
      : this.draw(sources, drawn, renamed(this.testGroups, groups, together));
    checkFolds(folds, sources, { mayLackValidation, groups, trainingOnly });
    return withTrainingOnly(folds, trainingOnly, together);
  }

  /** The Python module's name of `prepareSplits`. */
  prepareDataSplits(sources: readonly string[]): Promise<Splits[]> {
    return this.prepareSplits(sources);
  }

  /** `testGroups` are named as in `groups`: near-duplicates can have joined several of the configured ones. */
  protected abstract draw(sources: readonly string[], groups: Groups, testGroups: readonly string[]): Splits[];

  /** Checks that the splits of a file suit the strategy. */
  protected choose(folds: Splits[]): Splits[] {
    if (folds.length === 1) return folds;
    const message = `${this.splits} holds ${folds.length} splits; use it with the strategy k_fold or leave_one_group_out`;
    throw new CellsamError("ERR_SPLIT", message);
  }

  /**
   * Calls `train` for each split in turn. With several splits one that fails is recorded with its error, and the others go on.
   * @throws what `train` threw when no split succeeded
   */
  async executeTraining<T extends StrategyResult>(train: TrainFold<T>, splits: readonly Splits[]): Promise<StrategyResult[]> {
    this.#results = [];
    let first: unknown;
    for (const [i, split] of splits.entries()) {
      try {
        this.#results.push(await train(i + 1, split));
      } catch (error) {
        first ??= error;
        const { code = "ERR_UNEXPECTED", message = String(error) } = error as { code?: string; message?: string };
        this.#results.push({ fold: i + 1, error: { code, message } });
      }
    }
    if (this.#results.every(({ error }) => error)) throw first;
    return this.getResults();
  }

  /** Of the last `executeTraining`, or of the experiment that ran with this strategy. */
  getResults(): StrategyResult[] {
    return [...this.#results];
  }

  /** The runner hands over what it trained. */
  takeResults(results: readonly StrategyResult[]): void {
    this.#results = [...results];
  }

  /** Writes {strategy, results}. */
  saveResults(path: string): Promise<void> {
    return writeJson(path, JSON.parse(strictJson({ strategy: this.name, results: this.#results })));
  }

  /** Mean, sample standard deviation, intervals and range of every metric over the results without an error. */
  aggregateResults() {
    return aggregateMetrics(this.#results.filter(({ error }) => !error).map(foldMetrics));
  }

  /** One line a metric, mean ± sample standard deviation. Without `write` to stderr, since stdout belongs to the program. */
  printSummary(write: (text: string) => void = (text) => process.stderr.write(text)): void {
    write(`${this.name}\n${summaryLines(this.aggregateResults()).join("\n")}\n`);
  }
}

/**
 * The splits of any strategy, checked, with the images that only train on the training side.
 * @throws CellsamError ERR_SPLIT
 */
export async function preparedSplits(strategy: Strategy, sources: readonly string[], known: KnownGroups): Promise<Splits[]> {
  const { trainingOnly = [] } = known;
  const { checkFolds, withTrainingOnly } = await import("../data/split.js");
  const splits = await strategy.prepareSplits(sources, known);
  checkFolds(splits, sources, { mayLackValidation: strategy.mayLackValidation ?? false, trainingOnly });
  return strategy instanceof DrawnStrategy ? splits : withTrainingOnly(splits, trainingOnly);
}

/** A sentence for each split in which some of `trainingOnly` do not train. */
export function leftOutNotes(splits: readonly Splits[], trainingOnly: readonly string[]): string[] {
  return splits.flatMap(({ train }, i) => {
    const left = trainingOnly.filter((stem) => !train.includes(stem));
    if (left.length === 0) return [];
    const some = `${left.slice(0, 3).join(", ")}${left.length > 3 ? ", ..." : ""}`;
    return [
      `fold ${i + 1}: ${left.length} images of additional_datasets do not train, since images of their group validate or test: ${some}`,
    ];
  });
}

/** Groups in which images that show the same stand together, with all that shares a group with either. */
function joined(groups: Groups, duplicates: readonly (readonly string[])[]): Groups {
  const result: Record<string, string> = { ...groups };
  for (const [i, set] of duplicates.entries()) {
    const old = new Set(set.flatMap((stem) => (Object.hasOwn(result, stem) ? [result[stem] as string] : [])));
    const own = old.size > 0 ? [...old].sort().join(" + ") : `duplicates ${i + 1}`;
    for (const [stem, group] of Object.entries(result)) if (old.has(group)) result[stem] = own;
    for (const stem of set) result[stem] = own;
  }
  return result;
}

/** The groups that `names` belong to since they were joined. A name of no group stays, to be refused. */
function renamed(names: readonly string[], before: Groups, after: Groups): string[] {
  const now = names.map((name) => {
    const member = Object.keys(before).find((stem) => before[stem] === name && Object.hasOwn(after, stem));
    return member === undefined ? name : (after[member] as string);
  });
  return [...new Set(now)];
}
