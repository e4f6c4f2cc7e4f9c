/** One training for each group (slide, patient): the group validates a model that was trained on all others. */
import { leaveOneGroupOut } from "../data/draw.js";
import type { Groups, Splits } from "../data/split.js";
import { CellsamError } from "../errors.js";
import { type DrawnContent, type DrawnOptions, DrawnStrategy } from "./strategy.js";

export class LeaveOneGroupOutStrategy extends DrawnStrategy {
  readonly name = "leave_one_group_out";

  /** @throws CellsamError ERR_CONFIG without groups and splits */
  constructor(options: DrawnOptions = {}) {
    super(options);
    if (!this.groups && !this.splits)
      throw new CellsamError("ERR_CONFIG", "LeaveOneGroupOutStrategy needs `groups`, a file or a mapping of images to groups");
  }

  protected draw(sources: readonly string[], groups: Groups, testGroups: readonly string[], content: DrawnContent): Splits[] {
    const { randomSeed: seed, testRatio } = this;
    return leaveOneGroupOut({ sources, seed, groups, testRatio, testGroups, ...content });
  }

  protected override choose(folds: Splits[]): Splits[] {
    return folds;
  }
}
