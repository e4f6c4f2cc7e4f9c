/** Masks as run lengths, row by row within their bounds; the first run is of zeros. */
import { CellsamError } from "../errors.js";
import type { Bounds } from "./api.js";

/** Calls `run(row, from, to)` for the ones, in pixels of the image. @throws CellsamError ERR_INVALID_ARGUMENT */
export function maskRows(bounds: Bounds, runs: readonly number[], run: (row: number, from: number, to: number) => void): void {
  const [x0, y0, x1, y1] = bounds;
  const width = x1 - x0;
  const total = runs.reduce((sum, length) => sum + length, 0);
  if (x1 < x0 || y1 < y0 || total !== width * (y1 - y0)) {
    const message = `the runs of a mask cover ${total} pixels, its bounds [${bounds.join(", ")}] hold ${width * (y1 - y0)}`;
    throw new CellsamError("ERR_INVALID_ARGUMENT", message);
  }
  let at = 0;
  for (const [i, length] of runs.entries()) {
    const end = at + length;
    for (let from = at; i % 2 === 1 && from < end; ) {
      const row = Math.floor(from / width);
      const to = Math.min(end, (row + 1) * width);
      run(y0 + row, x0 + from - row * width, x0 + to - row * width);
      from = to;
    }
    at = end;
  }
}

/** The runs of a mask of zeros and ones [H,W]. */
export function runLengthsOf(mask: ArrayLike<number>): number[] {
  const runs: number[] = [];
  let value = 0;
  let start = 0;
  for (let at = 0; at <= mask.length; at++) {
    if (at < mask.length && (mask[at] ? 1 : 0) === value) continue;
    runs.push(at - start);
    value = 1 - value;
    start = at;
  }
  return runs;
}
