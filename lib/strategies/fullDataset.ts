/** All images train, for a final model when the settings are known. Its scores are then measured on training images. */
import { fullDataset } from "../data/draw.js";
import type { Groups, Splits } from "../data/split.js";
import { type DrawnContent, type DrawnOptions, DrawnStrategy } from "./strategy.js";

export class FullDatasetStrategy extends DrawnStrategy {
  readonly name = "full_dataset";
  override readonly mayLackValidation = true;

  constructor(options: DrawnOptions = {}) {
    super(options);
  }

  protected draw(sources: readonly string[], groups: Groups, testGroups: readonly string[], content: DrawnContent): Splits[] {
    const { randomSeed: seed, testRatio } = this;
    return [fullDataset({ sources, seed, groups, testRatio, testGroups, ...content })];
  }

  /** Images that a file lists for validation train too. */
  protected override choose(folds: Splits[]): Splits[] {
    return super.choose(folds).map(({ train, val, ...rest }) => ({ ...rest, train: [...train, ...val].sort(), val: [] }));
  }
}
