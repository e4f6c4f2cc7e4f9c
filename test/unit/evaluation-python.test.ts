// Instance metrics against their definitions in Python: pycocotools' own AP, scipy's assignment, scikit-image's boundaries.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../lib/data/random.js";
import { writeLabels } from "../../lib/data/write.js";
import type { NdArray } from "../../lib/engine/native.js";
import { evaluatePair, type PairEvaluation, summarize } from "../../lib/evaluation/pairs.js";

const python = process.env.CELLSAM_PYTHON;
if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so no Python checks the metrics");

const randomOf = (seed: number) => {
  const random = new Random(seed);
  return () => random.uniform();
};

/** Ellipses, drawn one over the other. */
function cells(random: () => number, sizes: number[], height = 160, width = 230) {
  const data = new Int32Array(height * width);
  for (const [i, size] of sizes.entries()) {
    const [x, y] = [random() * width, random() * height];
    const [a, b] = [size * (0.8 + 0.4 * random()), size * (0.8 + 0.4 * random())];
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        if (((column - x) / a) ** 2 + ((row - y) / b) ** 2 < 1) data[row * width + column] = i + 1;
      }
    }
  }
  return { data, shape: [height, width] } satisfies NdArray<Int32Array>;
}

/** A file of float64 as numpy writes it. */
function npy(values: Float64Array): Buffer {
  const header = `{'descr': '<f8', 'fortran_order': False, 'shape': (${values.length},), }`;
  const padded = `${header.padEnd(117)}\n`;
  const head = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8]);
  return Buffer.concat([head, Buffer.from(padded), Buffer.from(values.buffer)]);
}

describe.skipIf(!python)("the metrics of six images of mixed sizes", () => {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-metrics-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  let reference: {
    coco: Record<string, number | null>;
    pycocotools: Record<string, number | null> | null;
    pairs: { deepcell: number[]; seg: number; boundary: number[]; hungarian: number[]; pixels: number[] }[];
  };
  const images: { truth: NdArray<Int32Array>; prediction: NdArray<Int32Array>; scores: NdArray<Float64Array> }[] = [];
  const pairs: PairEvaluation[] = [];
  beforeAll(async () => {
    const random = randomOf(7);
    for (let i = 0; i < 6; i++) {
      const sizes = Array.from({ length: 10 }, () => (random() < 0.6 ? 6 + 10 * random() : 18 + 26 * random()));
      if (i === 5) sizes.push(75); // one large cell in all
      // The same random numbers give the same cells; the prediction's are moved a little and some are missing or extra.
      const truth = cells(randomOf(100 + i), sizes);
      const prediction = cells(randomOf(100 + i), sizes);
      const moved = cells(
        randomOf(100 + i),
        sizes.map((size, k) => (k % 5 === 4 ? 3 : size * (0.7 + 0.06 * k))),
      );
      if (i % 2 === 0) prediction.data.set(moved.data);
      else prediction.data.copyWithin(0, 2 + i); // shifted to the left
      const count = sizes.length;
      // Few distinct scores: ties must keep their order.
      const scores = { data: Float64Array.from({ length: count }, () => Math.round(random() * 12) / 12), shape: [count] };
      images.push({ truth, prediction, scores });
      for (const name of ["truth", "prediction"] as const) {
        await writeLabels(join(folder, `${name}_${i}.npy`), { data: images[i]?.[name].data as Int32Array, shape: [160, 230] });
      }
      writeFileSync(join(folder, `scores_${i}.npy`), npy(scores.data));
      pairs.push(await evaluatePair(truth, prediction, { scores }));
    }
    const script = join(import.meta.dirname, "evaluation_reference.py");
    reference = JSON.parse(execFileSync(python as string, [script, folder, "6"], { encoding: "utf8" }));
  });

  test("COCO AP, of all sizes and of each, is pycocotools'", () => {
    const summary = summarize(pairs) as unknown as Record<string, number | null>;
    for (const expected of [reference.coco, reference.pycocotools ?? {}]) {
      for (const [name, value] of Object.entries(expected)) {
        if (value === null) expect(summary[name], name).toBeNull();
        else expect(summary[name], name).toBeCloseTo(value, 9);
      }
    }
    expect(reference.coco.cocoAp).toBeGreaterThan(0.1);
    expect(reference.coco.cocoAp).toBeLessThan(0.9);
    expect(reference.coco.cocoApLarge).not.toBeNull();
  });

  test("D33: a cell counts above the IoU threshold, as deepcell does with cutoff1 = 1 - threshold", async () => {
    for (const [i, { truth, prediction }] of images.entries()) {
      for (const [k, iouThreshold] of [0.3, 0.5, 0.6].entries()) {
        const { deepcell } = await evaluatePair(truth, prediction, { iouThreshold });
        expect(deepcell.cutoff1).toBeCloseTo(1 - iouThreshold, 12);
        expect(deepcell.truePositives, `image ${i}, IoU ${iouThreshold}`).toBe(reference.pairs[i]?.deepcell[k]);
      }
    }
    expect(new Set(reference.pairs.flatMap(({ deepcell }) => deepcell)).size).toBeGreaterThan(3);
  });

  test("SEG, boundaries, the optimal assignment and pixels are those of scipy and scikit-image", () => {
    for (const [i, expected] of reference.pairs.entries()) {
      const { sums, seg, counts, hungarian, boundaryF1, dice, jaccard } = pairs[i] as PairEvaluation;
      expect(sums.seg).toBeCloseTo(expected.seg, 9);
      expect(seg).toBeCloseTo(expected.seg / counts.truth, 9);
      const { boundary, pixels } = sums;
      expect([boundary.truth, boundary.predicted, boundary.truthNear, boundary.predictedNear]).toEqual(expected.boundary);
      const [truth = 0, predicted = 0, truthNear = 0, predictedNear = 0] = expected.boundary;
      const [precision, recall] = [predictedNear / predicted, truthNear / truth];
      expect(boundaryF1).toBeCloseTo((2 * precision * recall) / (precision + recall), 9);
      const [matched = 0, ious = 0, dices = 0] = expected.hungarian;
      expect([counts.truePositives, hungarian.jaccard, hungarian.dice]).toEqual([
        matched,
        expect.closeTo(ious / matched, 9),
        expect.closeTo(dices / matched, 9),
      ]);
      expect([pixels.truth, pixels.predicted, pixels.shared]).toEqual(expected.pixels);
      const [a = 0, b = 0, both = 0] = expected.pixels;
      expect([dice, jaccard]).toEqual([expect.closeTo((2 * both) / (a + b), 12), expect.closeTo(both / (a + b - both), 12)]);
    }
  });
});
