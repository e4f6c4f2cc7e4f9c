/** What a training strategy is: it turns the list of source images into one or more splits, one training each. */
import type { Splits } from "../data/split.js";

export type { Splits } from "../data/split.js";

/** Pass an object of this shape to ExperimentRunner to decide the splits yourself. */
export interface Strategy {
  /** Named in the result files. */
  readonly name: string;
  /** `sources` are the names of the images without extension, sorted. Each split is trained from the same start. */
  prepareSplits(sources: readonly string[]): Splits[] | Promise<Splits[]>;
}
