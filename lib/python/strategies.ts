/** The strategies with the methods of the Python module, whose strategies also run the folds and keep the results. */

import type { Splits } from "../data/split.js";
import { failureOf } from "../errors.js";
import { writeJson } from "../files/json.js";
import { type Aggregate, aggregateMetrics, foldMetrics, summaryLines } from "../stats/folds.js";
import { FullDatasetStrategy as FullDataset } from "../strategies/fullDataset.js";
import { KFoldStrategy as KFold } from "../strategies/kFold.js";
import { LeaveOneGroupOutStrategy as LeaveOneGroupOut } from "../strategies/leaveOneGroupOut.js";
import type { DrawnStrategy, StrategyResult } from "../strategies/strategy.js";
import { TrainValSplitStrategy as TrainValSplit } from "../strategies/trainValSplit.js";

/** Trains one split; `fold` counts from 1. */
export type TrainFold<T> = (fold: number, split: Splits) => Promise<T>;

/** What the Python module's strategies have beside `prepareSplits`. */
export interface ResultMethods {
  /** The Python module's name of `prepareSplits`. */
  prepareDataSplits(sources: readonly string[]): Promise<Splits[]>;
  /**
   * Calls `train` for each split in turn. With several splits one that fails is recorded with its error, and the others go on.
   * @throws what `train` threw when no split succeeded
   */
  executeTraining<T extends StrategyResult>(train: TrainFold<T>, splits: readonly Splits[]): Promise<StrategyResult[]>;
  /** Of the last `executeTraining`, or of the experiment that ran with this strategy. */
  getResults(): StrategyResult[];
  takeResults(results: readonly StrategyResult[]): void;
  /** Writes {strategy, results} as JSON. */
  saveResults(path: string): Promise<void>;
  /** Mean, sample standard deviation, intervals and range of every metric over the results without an error. */
  aggregateResults(): Record<string, Aggregate>;
  /** One line a metric, mean ± sample standard deviation. Without `write` to stderr, since stdout belongs to the program. */
  printSummary(write?: (text: string) => void): void;
}

// biome-ignore lint/suspicious/noExplicitAny: TypeScript lets a class extend what a function returns only with these arguments
type ClassOf<T> = new (...args: any[]) => T;

const resultsOf = new WeakMap<object, StrategyResult[]>();

/** `Base` with the methods above. */
function withResults<Base extends ClassOf<Pick<DrawnStrategy, "name" | "prepareSplits">>>(
  base: Base,
): Base & ClassOf<ResultMethods> {
  class WithResults extends base implements ResultMethods {
    prepareDataSplits(sources: readonly string[]): Promise<Splits[]> {
      return this.prepareSplits(sources);
    }

    async executeTraining<T extends StrategyResult>(train: TrainFold<T>, splits: readonly Splits[]): Promise<StrategyResult[]> {
      const results: StrategyResult[] = [];
      let first: unknown;
      for (const [i, split] of splits.entries()) {
        try {
          results.push(await train(i + 1, split));
        } catch (error) {
          first ??= error;
          results.push({ fold: i + 1, error: failureOf(error) });
        }
      }
      this.takeResults(results);
      if (results.every(({ error }) => error)) throw first;
      return this.getResults();
    }

    getResults(): StrategyResult[] {
      return [...(resultsOf.get(this) ?? [])];
    }

    takeResults(results: readonly StrategyResult[]): void {
      resultsOf.set(this, [...results]);
    }

    saveResults(path: string): Promise<void> {
      return writeJson(path, { strategy: this.name, results: this.getResults() });
    }

    aggregateResults(): Record<string, Aggregate> {
      const succeeded = this.getResults().filter(({ error }) => !error);
      return aggregateMetrics(succeeded.map(foldMetrics));
    }

    printSummary(write: (text: string) => void = (text) => process.stderr.write(text)): void {
      write(`${this.name}\n${summaryLines(this.aggregateResults()).join("\n")}\n`);
    }
  }
  return WithResults;
}

export class FullDatasetStrategy extends withResults(FullDataset) {}
export class KFoldStrategy extends withResults(KFold) {}
export class LeaveOneGroupOutStrategy extends withResults(LeaveOneGroupOut) {}
export class TrainValSplitStrategy extends withResults(TrainValSplit) {}
