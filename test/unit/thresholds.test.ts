// The search for the best detection threshold, on the candidates of a real untrained model: whatever its weights say, one pass
// must give what a prediction at each threshold gives.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assemblePrediction, type Candidates, type ImageSweep, sweepThresholds } from "../../lib/engine/inference.js";
import type { NdArray } from "../../lib/engine/native.js";
import type { InferenceOptions, Session } from "../../lib/engine/session.js";
import { evaluatePair, type PairEvaluation, summarize } from "../../lib/evaluation/pairs.js";
import { metricsAt, optimizable, optimizableMetric, optimizeThresholds } from "../../lib/evaluation/thresholds.js";
import { rowsHere } from "../device.js";
import { ellipses, smallSession } from "./training-tiles.js";

/** Two tiles side by side. */
function wide(seed: number) {
  const parts = [ellipses(seed, 6), ellipses(seed + 50, 7)];
  const image = new Uint8Array(64 * 128 * 3);
  const labels = new Int32Array(64 * 128);
  for (const [k, part] of parts.entries()) {
    for (let row = 0; row < 64; row++) {
      image.set((part.image.data as Uint8Array).subarray(row * 192, row * 192 + 192), (row * 128 + k * 64) * 3);
      for (let x = 0; x < 64; x++) {
        const id = part.labels.data[row * 64 + x] as number;
        labels[row * 128 + k * 64 + x] = id === 0 ? 0 : id + 20 * k;
      }
    }
  }
  return { image: { data: image, shape: [64, 128, 3] }, labels: { data: labels, shape: [64, 128] } };
}

const images = [1, 2].map(wide);
// Untrained masks are blobs of all sizes; a threshold near their mean makes many of them overlap in part.
const open = { iouThreshold: -100, minArea: 1, minVisible: 0.3, adaptiveThreshold: true, bboxThreshold: 0.005 };
const cases: [name: string, options: InferenceOptions][] = [
  ["whole images", {}],
  ["tiles", { tileSize: 48, tileOverlap: 0.4 }],
  ["tiles, without islands removed", { tileSize: 32, largestPiece: false, minVisible: 0 }],
  ["tiles, the official rule", { tileSize: 48, overlap: "official" }],
  ["tiles, boundaries removed", { tileSize: 48, removeBoundaries: true }],
];

let session: Session;
beforeAll(async () => {
  session = await smallSession({ overrides: { numQueries: 16 } });
});
afterAll(() => session.dispose());

describe.each(rowsHere(cases))("candidates of %s", (_, more) => {
  const options = { ...open, ...more };
  const found: Candidates[] = [];
  const sweeps: ImageSweep[] = [];
  beforeAll(async () => {
    // The masks' own threshold: the median logit of one prediction would do; these weights sit near 0.5.
    for (const { image, labels } of images) {
      const candidates = await session.candidates({ image, ...options, maskThreshold: 0.5, floor: 0 });
      found.push(candidates);
      sweeps.push(await sweepThresholds(candidates, labels, options));
    }
  });
  const predict = (i: number, given: InferenceOptions = {}) =>
    session.predict({ image: (images[i] as (typeof images)[0]).image, ...options, maskThreshold: 0.5, ...given });

  test("D93: one pass gives the label map of every threshold", async () => {
    const scores = [...new Set((found[0] as Candidates).scores.data)].sort((a, b) => b - a);
    expect(scores.length).toBeGreaterThan(10);
    let cells = 0;
    for (const place of [0, 3, Math.floor(scores.length / 2), scores.length - 2]) {
      const threshold = scores[place] as number;
      const assembled = await assemblePrediction(found[0] as Candidates, { ...options, threshold });
      const predicted = await predict(0, { bboxThreshold: threshold, adaptiveThreshold: false });
      expect(assembled.labels).toEqual(predicted.labels);
      expect(assembled.scores).toEqual(predicted.scores);
      expect(assembled.boxes).toEqual(predicted.boxes);
      cells += predicted.count;
    }
    expect(cells).toBeGreaterThan(5);
    const configured = await assemblePrediction(found[0] as Candidates, options);
    expect(configured.labels).toEqual((await predict(0)).labels);
  });

  test("the sweep counts at every distinct score what a label map there counts", async () => {
    for (const [i, candidates] of found.entries()) {
      const { labels } = images[i] as (typeof images)[0];
      // A part of the truth is not to be judged.
      const truth = { data: labels.data.map((id, at) => (at % 128 > 20 && at % 128 < 40 ? -1 : id)), shape: labels.shape };
      for (const [side, sweep] of [
        [labels, sweeps[i] as ImageSweep],
        [truth, await sweepThresholds(candidates, truth, options)],
      ] as [NdArray<Int32Array>, ImageSweep][]) {
        const scores = [...new Set(candidates.scores.data)].sort((a, b) => b - a);
        for (let k = i; k < scores.length - 1; k += Math.ceil(scores.length / 15)) {
          const threshold = scores[k + 1] as number; // strictly above: all down to scores[k]
          const prediction = await assemblePrediction(candidates, { ...options, threshold });
          const pair = await evaluatePair(side, prediction.labels);
          const [row] = metricsAt([sweep], [threshold]);
          expect(row).toEqual({
            threshold,
            precision: expect.closeTo(pair.precision, 12),
            recall: expect.closeTo(pair.recall, 12),
            f1: expect.closeTo(pair.f1, 12),
            dice: expect.closeTo(pair.dice, 12),
            jaccard: expect.closeTo(pair.jaccard, 12),
            ap: expect.closeTo(pair.meanAp, 12),
            ap50: expect.closeTo(pair.ap50, 12),
            ap75: expect.closeTo(pair.ap75, 12),
          });
        }
      }
    }
  });

  test("D55: the best threshold is the best of all, and prediction at it gives its numbers", async () => {
    const { best, searched } = optimizeThresholds(sweeps, optimizable);
    const scores = [...new Set(found.flatMap((candidates) => [...candidates.scores.data]))].sort((a, b) => b - a);
    expect(searched).toBeLessThanOrEqual(scores.length + 1);
    const measured = async (threshold: number) => {
      const pairs: PairEvaluation[] = [];
      for (const [i, candidates] of found.entries()) {
        const { labels } = await assemblePrediction(candidates, { ...options, threshold });
        pairs.push(await evaluatePair((images[i] as (typeof images)[0]).labels, labels));
      }
      return summarize(pairs);
    };
    const tops = { f1: 0, dice: 0, ap50: 0, jaccard: 0, precision: 0, recall: 0 };
    // All of them for whole images; tiles have more, of which some must do.
    const step = Math.ceil(scores.length / 40);
    for (const threshold of [1, ...scores.filter((_score, k) => k % step === 0)]) {
      const summary = await measured(threshold);
      for (const metric of optimizable) tops[metric] = Math.max(tops[metric], summary[metric]);
    }
    const all = await measured((scores.at(-1) as number) / 2);
    for (const metric of optimizable) {
      const top = Math.max(tops[metric], all[metric]);
      if (step === 1) expect(best[metric][metric], metric).toBeCloseTo(top, 12);
      expect(best[metric][metric], metric).toBeGreaterThan(top - 1e-12);
      expect((await measured(best[metric].threshold))[metric], metric).toBeCloseTo(best[metric][metric], 12);
    }
  });
});

test("only so many candidates are kept, and what they cannot decide is refused", async () => {
  const { image } = images[0] as (typeof images)[0];
  const all = await session.candidates({ image, ...open, floor: 0 });
  const few = await session.candidates({ image, ...open, bboxThreshold: 1, floor: 0, maxCandidates: 5 });
  expect(few.scores.data.length).toBe(5);
  const [floor] = few.floors.data;
  expect(floor).toBe([...all.scores.data].sort((a, b) => b - a)[5]);
  await expect(assemblePrediction(few, { ...open, threshold: (floor as number) / 2 })).rejects.toMatchObject({
    code: "ERR_INVALID_ARGUMENT",
  });
  const broken = { ...few, runs: { data: few.runs.data.map((value) => value - 5), shape: few.runs.shape } };
  await expect(assemblePrediction(broken)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
});

describe("optimizeThresholds", () => {
  // One image with 2 true cells of 10 pixels: found at 0.9 and 0.3, a false one at 0.6.
  const sweep = (scores: number[], predicted: number[], right: number[]): ImageSweep => ({
    truth: 2,
    truthPixels: 20,
    floor: 0.05,
    scores: Float64Array.from(scores),
    predicted: Float64Array.from(predicted),
    truePositives: Float64Array.from(right.flatMap((count) => Array(10).fill(count))),
    predictedPixels: Float64Array.from(predicted, (count) => 10 * count),
    sharedPixels: Float64Array.from(right, (count) => 10 * count),
  });
  const one = sweep([0.9, 0.6, 0.3], [1, 2, 3], [1, 1, 2]);

  test("takes the best interval's middle", () => {
    const { best, searched } = optimizeThresholds([one], ["f1", "precision"]);
    expect(searched).toBe(4);
    expect(best.f1).toMatchObject({ f1: 0.8, threshold: 0.2, recall: 1, ap50: 2 / 3 });
    expect(best.precision).toMatchObject({ precision: 1, threshold: 0.8 });
  });

  test("takes the widest of equally good intervals", () => {
    const flat = sweep([0.9, 0.8, 0.2], [1, 2, 3], [1, 1, 1]);
    expect(optimizeThresholds([flat], ["recall"]).best.recall.threshold).toBeCloseTo(0.5, 6);
    expect(optimizeThresholds([flat], ["f1"]).best.f1.threshold).toBeCloseTo(0.85, 2);
  });

  test("gives no image, and images without cells, their perfect score at any threshold", () => {
    expect(optimizeThresholds([]).best.f1.f1).toBe(1);
    const empty: ImageSweep = { ...sweep([], [], []), truth: 0, truthPixels: 0 };
    expect(optimizeThresholds([empty]).best.dice.dice).toBe(1);
  });

  test("D55: an unknown metric is an error that lists the known ones; AP50 is ap50", () => {
    expect(optimizableMetric("AP50")).toBe("ap50");
    expect(() => optimizeThresholds([one], ["recall_precision"])).toThrow(/choose f1, dice, ap50, jaccard, precision, recall/);
  });
});
