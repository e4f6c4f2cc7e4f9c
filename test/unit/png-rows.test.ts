// The filters of PNG undone: samples are filtered as the specification says, and must come back whole.
import { describe, expect, it } from "vitest";
import { unfilter } from "../../lib/data/formats/pngRows.js";
import { Random } from "../../lib/data/random.js";

/** The predictors of the specification, by their number. */
const predictors = [
  () => 0,
  (left: number) => left,
  (_left: number, up: number) => up,
  (left: number, up: number) => Math.floor((left + up) / 2),
  (left: number, up: number, corner: number) => {
    const guess = left + up - corner;
    const [toLeft, toUp, toCorner] = [left, up, corner].map((value) => Math.abs(guess - value)) as [number, number, number];
    if (toLeft <= toUp && toLeft <= toCorner) return left;
    return toUp <= toCorner ? up : corner;
  },
];

/** `samples` [height,rowBytes] with a filter before each row, as zlib gives them. */
function filtered(samples: Uint8Array, rowBytes: number, step: number, filters: readonly number[]): Uint8Array {
  const at = (y: number, x: number) => (y < 0 || x < 0 ? 0 : (samples[y * rowBytes + x] as number));
  return Uint8Array.from(
    filters.flatMap((filter, y) => [
      filter,
      ...Array.from({ length: rowBytes }, (_, x) => {
        const predicted = predictors[filter]?.(at(y, x - step), at(y - 1, x), at(y - 1, x - step)) ?? 0;
        return (at(y, x) - predicted) & 255;
      }),
    ]),
  );
}

const random = new Random(3);
const kinds: Record<string, (y: number, x: number, step: number) => number> = {
  noise: () => random.integer(0, 255),
  "areas of one value": (y, x, step) => 37 * (Math.floor(y / 3) + Math.floor(x / (9 * step))) + (x % step),
  // Neighbours that agree where their neighbours do not, which a rule for whole words must tell apart.
  "two values": () => 200 * random.integer(0, 1),
};

describe.each(Object.entries(kinds))("%s", (_, value) => {
  it.each([1, 2, 3, 4, 6, 8])("of %i bytes a pixel", (step) => {
    for (const pixels of [1, 2, 3, 5, 8, 33, 64]) {
      const rowBytes = pixels * step;
      // Every filter first, and every one after every other.
      for (const first of predictors.keys()) {
        const filters = [first, 0, 1, 2, 3, 4, 0, 2, 4, 1, 3, 0, 3, 2, 1, 4, 4, 3, 1, 2, 0, 4, 2, 3];
        const samples = Uint8Array.from({ length: filters.length * rowBytes }, (_, i) =>
          value(Math.floor(i / rowBytes), i % rowBytes, step),
        );
        const rows = filtered(samples, rowBytes, step, filters);
        expect(unfilter(rows, rowBytes, filters.length, step)).toEqual(samples);
      }
    }
  });
});

it("a filter that does not exist is refused", () => {
  expect(() => unfilter(Uint8Array.of(0, 1, 5, 1), 1, 2, 1)).toThrow(/row 1 has the filter 5/);
});
