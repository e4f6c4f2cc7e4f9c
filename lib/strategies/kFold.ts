/**
 * k-fold cross-validation: the images are divided into k parts, and each part validates a model that was trained on the others.
 */
import { kFolds as drawFolds } from "../data/draw.js";
import type { Groups, Splits } from "../data/split.js";
import { CellsamError } from "../errors.js";
import { type DrawnContent, type DrawnOptions, DrawnStrategy } from "./strategy.js";

export interface KFoldOptions extends DrawnOptions {
  /** Default 5. */
  k?: number;
  /** Another name of k. */
  kFolds?: number;
}

export class KFoldStrategy extends DrawnStrategy {
  readonly k: number;
  #read: number | undefined;

  /** @throws CellsamError ERR_CONFIG for fewer than two folds, or for k and kFolds that differ */
  constructor({ k, kFolds, ...options }: KFoldOptions = {}) {
    super(options, ["k", "kFolds"]);
    if (k !== undefined && kFolds !== undefined && k !== kFolds)
      throw new CellsamError("ERR_CONFIG", `KFoldStrategy: k is ${k} and kFolds is ${kFolds}; give one of them`);
    this.k = k ?? kFolds ?? 5;
    if (!Number.isInteger(this.k) || this.k < 2)
      throw new CellsamError("ERR_CONFIG", `KFoldStrategy: k must be a whole number from 2, got ${this.k}`);
  }

  /** Such as "5_fold_cv"; with a file of splits, the number of splits in it. */
  get name(): string {
    return `${this.#read ?? this.k}_fold_cv`;
  }

  protected draw(sources: readonly string[], groups: Groups, testGroups: readonly string[], content: DrawnContent): Splits[] {
    const { k, randomSeed: seed, testRatio } = this;
    return drawFolds({ sources, k, seed, groups, testRatio, testGroups, ...content });
  }

  protected override choose(folds: Splits[]): Splits[] {
    if (folds.length < 2)
      throw new CellsamError("ERR_SPLIT", `${this.splits} holds a single split; use it with the strategy train_val_split`);
    this.#read = folds.length;
    return folds;
  }
}
