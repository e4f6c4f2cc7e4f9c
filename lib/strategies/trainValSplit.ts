/** One split into training and validation images: drawn with a seed, or read from a file. */
import { readSplits, type Splits, trainValSplit } from "../data/split.js";
import type { Strategy } from "./strategy.js";

export interface TrainValSplitOptions {
  /** Share of the images that validate. Default 0.3. */
  valRatio?: number;
  /** Default 23. */
  randomSeed?: number;
  /** A splits.json to use instead of a draw. */
  splits?: string | null;
}

export class TrainValSplitStrategy implements Strategy {
  readonly name = "train_val_split";
  readonly valRatio: number;
  readonly randomSeed: number;
  readonly splits: string | null;

  constructor({ valRatio = 0.3, randomSeed = 23, splits = null }: TrainValSplitOptions = {}) {
    this.valRatio = valRatio;
    this.randomSeed = randomSeed;
    this.splits = splits;
  }

  /** @throws CellsamError ERR_SPLIT */
  async prepareSplits(sources: readonly string[]): Promise<Splits[]> {
    if (this.splits) return [await readSplits(this.splits, sources)];
    return [trainValSplit({ sources, valRatio: this.valRatio, seed: this.randomSeed })];
  }
}
