/** Masks as run lengths, row by row within their bounds: the first run is of zeros (perhaps 0), and they take turns. */
import type { Bounds } from "../../api.js";

/** The spans of ones, as [y, x0, x1) of the full image: a run that goes over the end of a row is one span in each row. */
export function spansOf([x0, y0, x1]: Bounds, runs: readonly number[]): [y: number, x0: number, x1: number][] {
  const width = x1 - x0;
  const spans: [number, number, number][] = [];
  let at = 0;
  runs.forEach((run, i) => {
    const end = at + run;
    if (i % 2 === 1) {
      for (let from = at; from < end; ) {
        const row = Math.floor(from / width);
        const to = Math.min(end, (row + 1) * width);
        spans.push([y0 + row, x0 + from - row * width, x0 + to - row * width]);
        from = to;
      }
    }
    at = end;
  });
  return spans;
}

/** Pixels of the mask. */
export function areaOf(runs: readonly number[]): number {
  return runs.reduce((sum, run, i) => (i % 2 === 1 ? sum + run : sum), 0);
}
