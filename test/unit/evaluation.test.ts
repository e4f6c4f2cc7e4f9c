/** Instance metrics through the package's own border, against numbers worked out by hand. */
import { beforeAll, describe, expect, it } from "vitest";
import type { NdArray } from "../../lib/engine/native.js";
import { evaluatePair, type PairEvaluation, summarize } from "../../lib/evaluation/pairs.js";
import { labels } from "./label-map.js";

/** `count` cells of one pixel each, with ids from `first` on. */
function cells(count: number, first = 1): NdArray<Int32Array> {
  return { data: Int32Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? first + i / 2 : 0)), shape: [1, 2 * count] };
}

describe("evaluatePair", () => {
  // Cell 1: 3 of 4 pixels (IoU 0.75). Cell 2: 2 shared of 4 and 4 (IoU 1/3). Prediction 9 stands alone.
  const truth = labels("1111..2222.....", "...............");
  const prediction = labels("777.....8888...", "............99.");
  let pair: PairEvaluation;
  beforeAll(async () => {
    pair = await evaluatePair(truth, prediction);
  });

  it("D31, D77: counts and rates one image", () => {
    expect(pair.counts).toEqual({
      truth: 2,
      predicted: 3,
      truePositives: 1,
      falsePositives: 2,
      falseNegatives: 1,
      matchedIouSum: 0.75,
    });
    expect(pair.matches).toEqual([{ truth: 1, predicted: 7, iou: 0.75 }]);
    expect(Object.keys(pair.ap)).toHaveLength(10);
    expect(pair.ap50).toBeCloseTo(1 / 4, 12);
    expect(pair.ap75).toBeCloseTo(1 / 4, 12);
    expect(pair.ap["0.80"]).toBe(0);
    expect(pair.meanAp).toBeCloseTo(((1 / 4) * 6) / 10, 12);
    expect(pair.precision).toBeCloseTo(1 / 3, 12);
    expect(pair.recall).toBeCloseTo(1 / 2, 12);
    expect(pair.f1).toBeCloseTo(2 / 5, 12);
    expect(pair.meanMatchedIou).toBeCloseTo(0.75, 12);
    expect(pair.pq).toBeCloseTo(0.75 / 2.5, 12);
  });

  it("D30, D32: gives a perfect prediction 1, with one and with 400 cells, whatever the ids", async () => {
    for (const count of [1, 400]) {
      const perfect = await evaluatePair(cells(count), cells(count, 70_000));
      expect(perfect.meanAp).toBe(1);
      expect(perfect.pq).toBe(1);
      expect(perfect.counts.truePositives).toBe(count);
    }
  });

  it("gives 1 when both are empty and 0 when one is", async () => {
    const none = labels("...");
    expect(await evaluatePair(none, none)).toMatchObject({ meanAp: 1, f1: 1, meanMatchedIou: 1, pq: 1 });
    expect(await evaluatePair(labels("11."), none)).toMatchObject({ meanAp: 0, precision: 0, recall: 0, meanMatchedIou: 0 });
    expect(await evaluatePair(none, labels("11."))).toMatchObject({ meanAp: 0, precision: 0, recall: 0, pq: 0 });
  });

  it("refuses maps of two sizes", async () => {
    await expect(evaluatePair(labels("11"), labels("1"))).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
  });

  it("leaves the event loop free while it matches", async () => {
    const ids = Int32Array.from({ length: 4_000_000 }, (_, i) => i % 5000);
    const large = { data: ids, shape: [2000, 2000] };
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const matched = evaluatePair(large, large);
    await matched.finally(() => clearInterval(timer));
    expect(turns).toBeGreaterThan(0);
  });

  it("D78: adds counts over images, not rates", async () => {
    const all = summarize([pair, await evaluatePair(cells(7), cells(7))]);
    expect(all.images).toBe(2);
    expect(all.counts).toMatchObject({ truth: 9, predicted: 10, truePositives: 8, falsePositives: 2, falseNegatives: 1 });
    expect(all.ap50).toBeCloseTo(8 / 11, 12);
    expect(all.meanMatchedIou).toBeCloseTo(7.75 / 8, 12);
    expect(all.f1).toBeCloseTo(8 / 9.5, 12);
  });
});
