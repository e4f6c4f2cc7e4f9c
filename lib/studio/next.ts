/** Which image to correct next. */

export const nextRule =
  "Images that two models have segmented come first, those on which they disagree most at the top (1 - AP at IoU 0.5 between " +
  "their cells). Then come images that only the present model has segmented, the one with the lowest mean score first; no cell " +
  "at all counts as a score of 0.";

export interface Candidate {
  id: number;
  /** Whether the present model has segmented it. */
  predicted: boolean;
  disagreement: number | null;
  score: number | null;
}

/** The rank of each image that was segmented, from 1, by its id and in this order; see `nextRule`. */
export function ranks(candidates: readonly Candidate[]): Map<number, number> {
  const order = candidates
    .filter(({ predicted }) => predicted)
    .sort(
      (a, b) =>
        Number(b.disagreement !== null) - Number(a.disagreement !== null) ||
        (b.disagreement ?? 0) - (a.disagreement ?? 0) ||
        (a.score ?? 0) - (b.score ?? 0) ||
        a.id - b.id,
    );
  return new Map(order.map(({ id }, i) => [id, i + 1]));
}
