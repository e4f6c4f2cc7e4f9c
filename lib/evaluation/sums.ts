/** Sums that the scores besides the one-to-one matching need, added up over images, and the rates that follow. */

/** Pixels of one or several images. */
export interface PixelSums {
  truth: number;
  predicted: number;
  shared: number;
}

export interface BoundarySums {
  truth: number;
  predicted: number;
  /** How many of them have a boundary pixel of the other side within the tolerance. */
  truthNear: number;
  predictedNear: number;
}

export interface Sums {
  /** Foreground pixels. */
  pixels: PixelSums;
  /** Boundary pixels. */
  boundary: BoundarySums;
  /** Over true cells: the Jaccard index with the prediction that covers more than half of the cell. */
  seg: number;
  /** Over the matches at IoU >= 0.5: 2 IoU / (1 + IoU). */
  matchedDice: number;
  /** True positives as DeepCell counts them. */
  deepcell: number;
}

/** numerator / denominator; 1 where both sides are empty, 0 where one of them is. */
export function rate(numerator: number, denominator: number, bothEmpty: boolean): number {
  if (bothEmpty) return 1;
  return denominator > 0 ? numerator / denominator : 0;
}

export function pixelRates({ truth, predicted, shared }: PixelSums): { dice: number; jaccard: number } {
  const empty = truth + predicted === 0;
  return { dice: rate(2 * shared, truth + predicted, empty), jaccard: rate(shared, truth + predicted - shared, empty) };
}

export function boundaryRates({ truth, predicted, truthNear, predictedNear }: BoundarySums) {
  const empty = truth + predicted === 0;
  const boundaryPrecision = rate(predictedNear, predicted, empty);
  const boundaryRecall = rate(truthNear, truth, empty);
  const both = boundaryPrecision + boundaryRecall;
  return { boundaryPrecision, boundaryRecall, boundaryF1: rate(2 * boundaryPrecision * boundaryRecall, both, empty) };
}

/** Counts and rates as DeepCell defines them. */
export interface DeepcellRates {
  /** 1 - IoU threshold: a pair is a match if 1 - IoU is below. */
  cutoff1: number;
  cutoff2: number;
  truePositives: number;
  falsePositives: number;
  falseNegatives: number;
  precision: number;
  recall: number;
  f1: number;
}

export function deepcellRates(truth: number, predicted: number, matched: number, cutoffs: [number, number]): DeepcellRates {
  const empty = truth + predicted === 0;
  return {
    cutoff1: cutoffs[0],
    cutoff2: cutoffs[1],
    truePositives: matched,
    falsePositives: predicted - matched,
    falseNegatives: truth - matched,
    precision: rate(matched, predicted, empty),
    recall: rate(matched, truth, empty),
    f1: rate(2 * matched, truth + predicted, empty),
  };
}

export function addSums(all: readonly Sums[]): Sums {
  const total = (pick: (sums: Sums) => number) => all.reduce((sum, one) => sum + pick(one), 0);
  return {
    pixels: {
      truth: total(({ pixels }) => pixels.truth),
      predicted: total(({ pixels }) => pixels.predicted),
      shared: total(({ pixels }) => pixels.shared),
    },
    boundary: {
      truth: total(({ boundary }) => boundary.truth),
      predicted: total(({ boundary }) => boundary.predicted),
      truthNear: total(({ boundary }) => boundary.truthNear),
      predictedNear: total(({ boundary }) => boundary.predictedNear),
    },
    seg: total(({ seg }) => seg),
    matchedDice: total(({ matchedDice }) => matchedDice),
    deepcell: total(({ deepcell }) => deepcell),
  };
}
