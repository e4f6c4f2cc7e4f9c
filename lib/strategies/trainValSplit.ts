/** One split into training and validation images: drawn with a seed, or read from a file. */
import { trainValSplit } from "../data/draw.js";
import type { Groups, Splits } from "../data/split.js";
import { type DrawnContent, type DrawnOptions, DrawnStrategy } from "./strategy.js";

export interface TrainValSplitOptions extends DrawnOptions {
  /** Share of the images that validate. Default 0.3. */
  valRatio?: number;
}

export class TrainValSplitStrategy extends DrawnStrategy {
  readonly name = "train_val_split";
  readonly valRatio: number;

  constructor({ valRatio = 0.3, ...options }: TrainValSplitOptions = {}) {
    super(options, ["valRatio"]);
    this.valRatio = valRatio;
  }

  protected draw(sources: readonly string[], groups: Groups, testGroups: readonly string[], content: DrawnContent): Splits[] {
    const { valRatio, randomSeed: seed, testRatio } = this;
    return [trainValSplit({ sources, valRatio, seed, groups, testRatio, testGroups, ...content })];
  }
}
