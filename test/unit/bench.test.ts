/** The arithmetic of `npm run bench`: what it says of numbers whose answer is known. No test looks at a clock. */
import { expect, it } from "vitest";
import { agrees, growth, median, ratioOf, seconds, table } from "../../bench/figures.mjs";

it("gives the ratio of medians, and the range of the pairs in which both sides took turns", () => {
  const { ratio, range } = ratioOf([4, 8, 6, 5, 100], [2, 2, 4, 1, 3]);
  expect(ratio).toBe(3); // 6 / 2: one slow run does not move it
  expect(range).toEqual([1.5, 100 / 3]);
  expect(median([3, 1, 2, 10])).toBe(2.5);
  expect(() => ratioOf([1, 2], [1])).toThrow(/as many runs/);
});

it("finds the exponent of a power law, and of noise about one", () => {
  const sizes = [16, 64, 256, 1024];
  const exact = growth(sizes.map((size) => ({ size, seconds: 3e-4 * size ** 1.5 })));
  expect(exact.exponent).toBeCloseTo(1.5, 10);
  expect(exact.factor).toBeCloseTo(3e-4, 10);
  // Least squares of points on both sides of a line of slope 1, by hand: x = -1, 0, 1; y = -1 + .3, -.6, 1 + .3.
  const e = Math.E;
  const near = growth([-1, 0, 1].map((x, i) => ({ size: e ** x, seconds: e ** (x + [0.3, -0.6, 0.3][i]!) })));
  expect(near.exponent).toBeCloseTo(1, 10);
  expect(Math.log(near.factor)).toBeCloseTo(0, 10);
});

it("takes two figures for the same within a share of the peer's", () => {
  expect(agrees(100, 101.9, 2e-2)).toBe(true);
  expect(agrees(100, 102.1, 2e-2)).toBe(false);
  expect(agrees(-100, -99, 2e-2)).toBe(true);
  expect(agrees(-100, 100, 2e-2)).toBe(false);
  expect(agrees(1, Number.NaN, 2e-2)).toBe(false);
});

it("writes times in the unit that suits them", () => {
  expect([12.3456, 0.0123456, 1.23456e-5].map(seconds)).toEqual(["12.3 s", "12.3 ms", "12.3 us"]);
});

it("writes a line a row, with what could not be measured said in its place", () => {
  const side = (variant: Record<string, string | boolean>, middle: number, peak: number) => ({ variant, median: middle, peak });
  const text = table({
    device: "cpu",
    threads: 1,
    pairs: 5,
    rows: [
      {
        name: "encoder",
        title: "encoder",
        target: 2,
        ratio: 2.5,
        range: [2.25, 2.75],
        wallRatio: 2.4,
        share: 0.415,
        peer: side({ impl: "own", compile: true }, 5, 3 * 2 ** 30),
        product: side({ precision: "bf16" }, 2, 2 ** 30),
      },
      { name: "matching", title: "matching", error: "value differs" },
    ],
    growth: [
      {
        name: "prompts",
        title: "prompts",
        side: "product",
        points: [{ size: 16, seconds: 0.5 }],
        exponent: 1.004,
        factor: 0.03,
      },
    ],
  });
  expect(text).toMatch(/1 thread on both sides, at least 5 alternating pairs.*CPU seconds/);
  expect(text).toContain(
    "| encoder | 5.00 s (own compile) | 2.00 s (bf16) | 2.5x (2.3x to 2.8x) | 2.0x | 2.4x | 3.0 / 1.0 GiB (3.0x) | 42 % |",
  );
  expect(text).toMatch(/\| matching \|.*value differs/);
  expect(text).toContain("| prompts | product | 16: 500 ms | 1.00 |");
  expect(table({ device: "cuda", threads: 1, pairs: 5, rows: [], growth: [] })).toContain("wall times");
});
