/** The losses through the package's own border: names, shapes, dtypes, errors and gradients as a caller sees them. */
import { describe, expect, it } from "vitest";
import {
  boundaryLoss,
  detectionLoss,
  diceLoss,
  type FloatArray,
  focalLoss,
  hungarian,
  maskLoss,
  miningWeights,
} from "../../lib/engine/losses.js";
import type { NdArray } from "../../lib/engine/native.js";

const f64 = (values: number[], ...shape: number[]): NdArray<Float64Array> => ({
  data: Float64Array.from(values),
  shape: shape.length > 0 ? shape : [values.length],
});
const i32 = (values: number[]) => ({ data: Int32Array.from(values), shape: [values.length] });

const logits = f64([0, 1, -1, 2], 2, 2);
const target = f64([1, 0, 0, 1], 2, 2);

/** Central differences of `total` in every element of `at`. */
function differences(at: NdArray<FloatArray>, total: (moved: NdArray<Float64Array>) => number, step = 1e-5): number[] {
  return Array.from(at.data, (_, index) => {
    const moved = (by: number) => {
      const data = Float64Array.from(at.data);
      data[index] = (data[index] as number) + by;
      return total({ data, shape: at.shape });
    };
    return (moved(step) - moved(-step)) / (2 * step);
  });
}

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, digits = 6) {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) expect(got[i]).toBeCloseTo(expected[i] as number, digits);
}

const sum = (array: NdArray<Float64Array>) => array.data.reduce((total, value) => total + value, 0);

describe("mask losses", () => {
  it("D81: give the reference values", () => {
    expect(focalLoss(logits, target).value.data[0]).toBeCloseTo(0.14679186, 6);
    expect(focalLoss(logits, target, { gamma: 3 }).value.data[0]).toBeCloseTo(0.102778763, 6);
    expect(diceLoss(logits, target).value.data[0]).toBeCloseTo(0.300922513, 6);
    expect(boundaryLoss(logits, target).value.data[0]).toBeCloseTo(0.692647636, 6);
  });

  it.each([
    ["focal", (z: NdArray<FloatArray>) => focalLoss(z, target, { alpha: 0.4, gamma: 1.5 })],
    ["dice", (z: NdArray<FloatArray>) => diceLoss(z, target, { smooth: 0.5 })],
    ["boundary", (z: NdArray<FloatArray>) => boundaryLoss(z, target)],
  ])("%s: the gradient agrees with finite differences", (_, loss) => {
    const { gradient } = loss(logits);
    expect(gradient.shape).toEqual([2, 2]);
    expect(gradient.data).toBeInstanceOf(Float64Array);
    expectClose(
      gradient.data,
      differences(logits, (moved) => sum(loss(moved).value)),
      7,
    );
  });

  it("take float32 logits with byte targets, one value per mask", () => {
    const { value, gradient } = diceLoss(
      { data: Float32Array.from([0, 1, -1, 2, 0, 1, -1, 2]), shape: [2, 2, 2] },
      { data: Uint8Array.from([1, 0, 0, 1, 0, 0, 0, 0]), shape: [2, 2, 2] },
    );
    expect(value.shape).toEqual([2]);
    expect(value.data[0]).toBeCloseTo(0.300922513, 6);
    expect(gradient.data).toBeInstanceOf(Float32Array);
    expect(gradient.shape).toEqual([2, 2, 2]);
  });

  it("D14: add up linearly in their weights", () => {
    const plain = maskLoss(logits, target);
    const weighted = maskLoss(logits, target, { focalWeight: 2, diceWeight: 3, boundaryWeight: 7 });
    expectClose(weighted.focal.data, [2 * (plain.focal.data[0] as number)], 12);
    expectClose(weighted.boundary.data, [7 * (plain.boundary.data[0] as number)], 12);
    expectClose(weighted.total.data, [sum(weighted.focal) + sum(weighted.dice) + sum(weighted.boundary)], 12);
    const off = maskLoss(logits, target, { useBoundary: false });
    expect(off.boundary.data[0]).toBe(0);
    expectClose(
      off.gradient.data,
      differences(logits, (moved) => sum(maskLoss(moved, target, { useBoundary: false }).total)),
      7,
    );
  });

  it.each([
    ["focal", (z: NdArray<FloatArray>, ignored: NdArray<Uint8Array>) => focalLoss(z, target, { ignored }).value],
    ["dice", (z: NdArray<FloatArray>, ignored: NdArray<Uint8Array>) => diceLoss(z, target, { ignored }).value],
    ["boundary", (z: NdArray<FloatArray>, ignored: NdArray<Uint8Array>) => boundaryLoss(z, target, { ignored }).value],
    ["mask", (z: NdArray<FloatArray>, ignored: NdArray<Uint8Array>) => maskLoss(z, target, { ignored }).total],
  ])("%s: ignored pixels have no say", (_, loss) => {
    const corner = { data: Uint8Array.of(0, 0, 0, 1), shape: [2, 2] };
    const none = { data: new Uint8Array(4), shape: [2, 2] };
    expect(loss(f64([0, 1, -1, 99], 2, 2), corner).data[0]).toBe(loss(logits, corner).data[0]);
    expect(loss(logits, corner).data[0]).not.toBe(loss(logits, none).data[0]);
    expect(() => loss(logits, { data: Uint8Array.of(1), shape: [1, 1] })).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
    );
  });

  it("have a zero gradient when every weight is 0", () => {
    const { gradient } = maskLoss(logits, target, { focalWeight: 0, diceWeight: 0, boundaryWeight: 0 });
    expectClose(gradient.data, [0, 0, 0, 0], 15);
  });

  it("refuse wrong input with a code", () => {
    const invalid = expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" });
    expect(() => diceLoss(logits, f64([1, 0], 1, 2))).toThrow(invalid);
    expect(() => focalLoss(logits, target, { gamma: -1 })).toThrow(invalid);
    expect(() => focalLoss(logits, target, { gama: 1 } as object)).toThrow(invalid);
    expect(() => diceLoss({ data: Int32Array.of(1), shape: [1, 1] } as never, f64([1], 1, 1))).toThrow(invalid);
  });
});

describe("detection loss", () => {
  const queries = f64([2, -2, -1, 0, 0.5, -3], 1, 1, 3, 2);
  const boxes = f64([0.5, 0.5, 0.2, 0.2, 0.2, 0.3, 0.1, 0.2, 0.8, 0.7, 0.3, 0.3], 1, 1, 3, 4);
  const cells = [{ boxes: f64([0.52, 0.48, 0.2, 0.25, 0.75, 0.7, 0.3, 0.2], 2, 4), labels: i32([0, 0]) }];

  it("D89: gives the reference values, weighted", () => {
    const found = detectionLoss(queries, boxes, cells);
    expect(found.ce).toBeCloseTo(0.082869, 5);
    expect(found.bbox).toBeCloseTo(5 * 0.12, 5);
    expect(found.giou).toBeCloseTo(2 * 0.449567, 5);
    expect(found.total).toBeCloseTo(1.582003, 5);
    expect(found.classError).toBe(0);
  });

  it("has gradients that agree with finite differences", () => {
    const found = detectionLoss(queries, boxes, cells);
    expectClose(
      found.logitsGradient.data,
      differences(queries, (moved) => detectionLoss(moved, boxes, cells).total),
    );
    expectClose(
      found.boxesGradient.data,
      differences(boxes, (moved) => detectionLoss(queries, moved, cells).total),
    );
    expect(found.boxesGradient.shape).toEqual([1, 1, 3, 4]);
  });

  it("D26: counts earlier layers only with auxLoss, and takes an image without cells", () => {
    const twice = (array: NdArray<Float64Array>) => f64([...array.data, ...array.data], 2, ...array.shape.slice(1));
    const once = detectionLoss(queries, boxes, cells).total;
    expect(detectionLoss(twice(queries), twice(boxes), cells).total).toBeCloseTo(2 * once, 9);
    expect(detectionLoss(twice(queries), twice(boxes), cells, { auxLoss: false }).total).toBeCloseTo(once, 9);
    const empty = detectionLoss(queries, boxes, [{ boxes: f64([], 0, 4), labels: i32([]) }]);
    expect(empty.bbox).toBe(0);
    expect(empty.ce).toBeGreaterThan(0);
    expect(empty.classError).toBe(100);
  });

  it("leaves unmatched queries in an ignored region out of the class loss", () => {
    // Query 1, the unmatched one, covers x 0.15..0.25: the left quarter of the image.
    const ignored = { data: Uint8Array.of(1, 0, 0, 0), shape: [1, 4] };
    const plain = detectionLoss(queries, boxes, cells);
    const found = detectionLoss(queries, boxes, [{ ...cells[0], ignored } as (typeof cells)[0]]);
    expect(found.ce).toBeLessThan(plain.ce);
    expect(found.bbox).toBe(plain.bbox);
    expect([...found.logitsGradient.data].slice(2, 4)).toEqual([0, 0]);
    expect([...plain.logitsGradient.data].slice(2, 4)).not.toContain(0);
  });

  it("D25: matches by the costs that are set, whatever the loss weights", () => {
    // Query 0 is sure of its class and far away, query 1 lies on the cell and is unsure.
    const logits = f64([5, -5, -5, -5], 1, 1, 2, 2);
    const places = f64([0.1, 0.1, 0.1, 0.1, 0.8, 0.8, 0.2, 0.2], 1, 1, 2, 4);
    const cell = [{ boxes: f64([0.8, 0.8, 0.2, 0.2], 1, 4), labels: i32([0]) }];
    const bbox = (options: object) => detectionLoss(logits, places, cell, options).bbox;
    expect(bbox({ costClass: 0 })).toBe(0);
    expect(bbox({ costBbox: 0, costGiou: 0 })).toBeGreaterThan(1);
    expect(bbox({ costClass: 0, ceWeight: 9 })).toBe(0);
  });

  it("names the query of a NaN", () => {
    const broken = f64([...queries.data], ...queries.shape);
    broken.data[2] = Number.NaN;
    expect(() => detectionLoss(broken, boxes, cells)).toThrow(
      expect.objectContaining({ code: "ERR_NON_FINITE_COST", detail: expect.objectContaining({ query: 1 }) }),
    );
  });
});

describe("mining weights", () => {
  const mean = (totals: number[], options: object) => {
    const { weights } = miningWeights(f64(totals), options);
    return totals.reduce((sum, total, i) => sum + total * (weights.data[i] as number), 0) / totals.length;
  };

  it("give the reference means", () => {
    const ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    expect(mean(ten, {})).toBeCloseTo(6.5, 9);
    expect(mean(ten, { fraction: 0.3 })).toBeCloseTo(8.2, 9);
    expect(mean(ten, { weighted: true })).toBeCloseTo(6.35, 9);
    expect(mean(ten, { weighted: true, fraction: 0.3 })).toBeCloseTo(7.925, 9);
  });

  it("count what they selected", () => {
    expect(miningWeights(f64([1, 2, 3]))).toMatchObject({ selected: 1, ratio: 1 / 3 });
    expect(miningWeights(f64([], 0))).toMatchObject({ selected: 0, ratio: 0 });
  });
});

describe("hungarian", () => {
  it("solves both orientations", () => {
    const wide = hungarian(f64([4, 1, 3, 1, 0, 5], 2, 3));
    expect([...wide.rows.data]).toEqual([0, 1]);
    expect([...wide.columns.data]).toEqual([1, 0]);
    expect(wide.total).toBe(2);
    const tall = hungarian(f64([4, 2, 1, 1, 3, 5], 3, 2));
    expect([...tall.rows.data]).toEqual([0, 1]);
    expect([...tall.columns.data]).toEqual([1, 0]);
    expect(tall.total).toBe(3);
  });

  it("refuses NaN and the impossible with a code", () => {
    expect(() => hungarian(f64([1, Number.NaN], 1, 2))).toThrow(
      expect.objectContaining({ code: "ERR_NON_FINITE_COST", detail: expect.objectContaining({ row: 0, column: 1 }) }),
    );
    expect(() => hungarian(f64([Infinity, 1, Infinity, 2], 2, 2))).toThrow(
      expect.objectContaining({ code: "ERR_INFEASIBLE_ASSIGNMENT" }),
    );
  });
});
