/**
 * The perimeter of a cell. The pixels of its edge form a line of steps along rows, columns and diagonals; each of them counts by
 * its neighbours on that line as 1, the square root of 2, or the mean of both. K. Benkrid and D. Crookes, Design and FPGA
 * implementation of a perimeter estimator, Queen's University of Belfast, 2000; scikit-image's `regionprops` gives the same
 * number as `perimeter`.
 */
import type { CellMask } from "./segmentation.js";

/**
 * The length that an edge pixel adds, by the sum of 10 for each edge pixel at a diagonal, 2 for each above, below or beside, and
 * 1 for itself.
 */
const lengths = new Map([
  ...[5, 7, 15, 17, 25, 27].map((sum) => [sum, 1] as const),
  ...[21, 33].map((sum) => [sum, Math.SQRT2] as const),
  ...[13, 23].map((sum) => [sum, (1 + Math.SQRT2) / 2] as const),
]);

/** The perimeter in pixels of the ones of a mask with a border of zeros. */
export function perimeter({ data, height, width }: CellMask): number {
  const inside = (at: number) => data[at - 1] && data[at + 1] && data[at - width] && data[at + width];
  const edge = new Uint8Array(data.length);
  for (let at = width; at < data.length - width; at++) if (data[at] && !inside(at)) edge[at] = 1;
  const value = (at: number) => edge[at] as number;
  let sum = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * width + 1; at < (y + 1) * width - 1; at++) {
      if (!edge[at]) continue;
      const beside = value(at - 1) + value(at + 1) + value(at - width) + value(at + width);
      const diagonal = value(at - width - 1) + value(at - width + 1) + value(at + width - 1) + value(at + width + 1);
      sum += lengths.get(10 * diagonal + 2 * beside + 1) ?? 0;
    }
  }
  return sum;
}
