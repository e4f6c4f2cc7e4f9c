// The rules of evaluation that no reference fixes: ignore regions, empty sides, scores and ids, images that fail. And the cases of
// COCO AP that a known implementation got wrong, worked out by hand.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { evaluateCommand } from "../../lib/cli/evaluate.js";
import { type PredictInput, predictSchema } from "../../lib/config/inference.js";
import { decodeImage } from "../../lib/data/decode.js";
import { discover } from "../../lib/data/discover.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { writeLabels } from "../../lib/data/write.js";
import type { NdArray } from "../../lib/engine/native.js";
import type { PredictOptions, Session } from "../../lib/engine/session.js";
import { CellsamError } from "../../lib/errors.js";
import { evaluateFolders } from "../../lib/evaluation/folders.js";
import { type EvaluateModelOptions, evaluateModel, optimalThresholds } from "../../lib/evaluation/model.js";
import { evaluatePair, summarize } from "../../lib/evaluation/pairs.js";
import { readJson, writeJson } from "../../lib/files/json.js";
import { labels } from "./label-map.js";
import { FakeEngine } from "./runner-fake.js";

const scores = (...values: number[]) => ({ data: Float64Array.from(values), shape: [values.length] });

/** `count` cells of 4 pixels with ids 1 to `count`. */
function cells(count: number): NdArray<Int32Array> {
  return {
    data: Int32Array.from({ length: 5 * count }, (_, i) => (i % 5 < 4 ? Math.floor(i / 5) + 1 : 0)),
    shape: [1, 5 * count],
  };
}

describe("COCO AP", () => {
  test("D30: one perfect cell, and two, give 1", async () => {
    for (const count of [1, 2]) {
      const perfect = await evaluatePair(cells(count), cells(count), { scores: scores(...Array(count).fill(0.5)) });
      expect(perfect).toMatchObject({
        cocoAp: 1,
        cocoAp50: 1,
        cocoAp75: 1,
        cocoApSmall: 1,
        cocoApMedium: null,
        cocoApLarge: null,
      });
    }
  });

  test("D32: 400 perfect cells give 1 in every number: no cap of 100 detections", async () => {
    const perfect = await evaluatePair(cells(400), cells(400), {
      scores: scores(...Array.from({ length: 400 }, (_, i) => i / 400)),
    });
    expect(perfect).toMatchObject({ cocoAp: 1, cocoAp50: 1, cocoAp75: 1 });
  });

  test("D36: scores belong to ids, whichever ids are left, and a missing one is an error", async () => {
    // Two true cells; the false detection 2 scores best, then 4 and 1. Ids 3 and 5 are gone.
    const truth = labels("1111.2222......");
    const prediction = labels("1111.4444..2222");
    const pair = await evaluatePair(truth, prediction, { scores: scores(0.2, 0.9, 0, 0.5, 0) });
    // Precision 0/1, 1/2, 2/3; made monotone 2/3 up to recall 1.
    expect(pair.cocoAp).toBeCloseTo(2 / 3, 12);
    const best = await evaluatePair(truth, prediction, { scores: scores(0.9, 0.2, 0, 0.5, 0) });
    expect(best.cocoAp).toBeCloseTo(1, 12);
    const short = evaluatePair(truth, prediction, { scores: scores(0.9, 0.2) });
    await expect(short).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT", message: expect.stringContaining("id 4") });
  });

  test("D77, D78: works for a single pair and for images of different sizes together", async () => {
    const one = await evaluatePair(labels("11.22"), labels("11..."), { scores: scores(0.9) });
    expect(one.cocoAp50).toBeCloseTo(51 / 101, 12); // recall 0.5 is reached by 51 of the 101
    const two = await evaluatePair(labels("33", "33"), labels("33", "33"), { scores: scores(0, 0, 0.1) });
    expect(summarize([one, two]).cocoAp50).toBeCloseTo(67 / 101, 12); // recall 2/3
    const unscored = await evaluatePair(labels("1"), labels("1"));
    expect(unscored.cocoAp).toBeNull();
    expect(summarize([one, unscored]).cocoAp).toBeNull();
  });
});

describe("reliability", () => {
  test("counts the detections of each tenth of the scores, over images, and how far their mean score is from their precision", async () => {
    // Found at IoU 1, 1/2, and not at all: 1/3 is no match. The ignored one counts nowhere.
    const one = await evaluatePair(labels("11.22.333.--"), labels("11.2222.3.44"), { scores: scores(0.98, 0.62, 0.64, 0.3) });
    const two = await evaluatePair(labels("1.."), labels("1.2"), { scores: scores(1, 0.68) });
    const { reliability } = summarize([one, two]);
    expect(reliability?.bins.map(({ detections }) => detections)).toEqual([0, 0, 0, 0, 0, 0, 3, 0, 0, 2]);
    expect(reliability?.bins[6]).toEqual({
      from: 0.6,
      to: 0.7,
      detections: 3,
      meanScore: expect.closeTo((0.62 + 0.64 + 0.68) / 3, 12),
      precision: 1 / 3,
    });
    expect(reliability?.bins[9]).toMatchObject({ to: 1, meanScore: expect.closeTo(0.99, 12), precision: 1 });
    expect(reliability?.bins[0]).toEqual({ from: 0, to: 0.1, detections: 0, meanScore: null, precision: null });
    // 3/5 |1.94/3 - 1/3| + 2/5 |0.99 - 1|
    expect(reliability?.calibrationError).toBeCloseTo((0.94 + 0.02) / 5, 12);
  });

  test("is unknown without scores, and without detections has no error", async () => {
    expect(summarize([await evaluatePair(labels("1"), labels("1"))]).reliability).toBeNull();
    const none = await evaluatePair(labels("1"), labels("."), { scores: scores() });
    expect(summarize([none]).reliability).toMatchObject({ calibrationError: null });
  });
});

test("D34: 300 instances keep 300 ids, and 256 is no background", async () => {
  const { counts } = await evaluatePair(cells(300), cells(300));
  expect(counts).toMatchObject({ truth: 300, predicted: 300, truePositives: 300 });
});

describe("ignored pixels", () => {
  test("leave out predictions that lie at least half in them, and count for no side", async () => {
    const truth = labels("1111--------..", "1111--------..");
    // 1 reaches into the region with a third, 2 lies in it with half, 3 wholly, 4 is a false one.
    const prediction = labels("111111.333.22.", "111111.333.22.").data;
    prediction[13] = 4;
    const pair = await evaluatePair(truth, { data: prediction, shape: [2, 14] }, { scores: scores(0.9, 0.8, 0.7, 0.1) });
    expect(pair.counts).toMatchObject({ truth: 1, predicted: 2, truePositives: 1, matchedIouSum: 1 });
    expect(pair).toMatchObject({ cocoAp: 1, dice: 16 / 17, seg: 1 });
    expect(pair.deepcell).toMatchObject({ truePositives: 1, falsePositives: 1, falseNegatives: 0 });
    // The border of the region is nobody's boundary; only the false cell has one.
    expect(pair.sums.boundary).toEqual({ truth: 0, predicted: 1, truthNear: 0, predictedNear: 0 });
  });

  test("are allowed in the truth alone", async () => {
    await expect(evaluatePair(labels("1."), labels("1-"))).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    await expect(evaluatePair({ data: Int32Array.of(-2, 0), shape: [1, 2] }, labels("1."))).rejects.toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
    });
  });
});

test("empty sides: both give 1, one gives 0, in every rate", async () => {
  const [none, some] = [labels("..."), labels("11.")];
  const rates = { dice: 1, jaccard: 1, seg: 1, boundaryF1: 1, deepcell: { f1: 1 }, hungarian: { f1: 1, jaccard: 1, dice: 1 } };
  const zeros = { dice: 0, jaccard: 0, seg: 0, boundaryF1: 0, deepcell: { f1: 0 }, hungarian: { f1: 0, jaccard: 0, dice: 0 } };
  expect(await evaluatePair(none, none)).toMatchObject(rates);
  expect(await evaluatePair(some, none)).toMatchObject(zeros);
  expect(await evaluatePair(none, some)).toMatchObject(zeros);
  expect(summarize([])).toMatchObject({ images: 0, ...rates });
});

test("DeepCell's cutoff2 lifts a small cell inside another, and true IoU stays in the sums", async () => {
  const [truth, prediction] = [labels("11........"), labels("1111111111")];
  expect((await evaluatePair(truth, prediction, { iouThreshold: 0.3 })).deepcell.truePositives).toBe(0);
  expect((await evaluatePair(truth, prediction, { iouThreshold: 0.3, cutoff2: 0.4 })).deepcell.truePositives).toBe(1);
});

describe("evaluateModel", () => {
  let folder: string;
  let pairs: Awaited<ReturnType<typeof discover>>["pairs"];
  let second: string; // the pixels of the second image
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-rules-"));
    pairs = (await discover(await generateSynthetic({ directory: folder, images: 3, size: 64, seed: 1 }))).pairs;
    second = (await decodeImage(pairs[1]?.image as string)).data.join();
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function evaluate(options: EvaluateModelOptions = {}, change: (session: Session) => void = () => undefined) {
    const session = await new FakeEngine().openSession({ size: "tiny" });
    change(session);
    const config = { ...predictSchema().parse({} satisfies PredictInput), binaryMasks: false, tileSize: 0 };
    return evaluateModel({ session, config, emit: () => undefined }, pairs, options);
  }
  /** On the second image, in whatever order they come. */
  const failing = (session: Session) => {
    const { predict } = session;
    session.predict = ((options: PredictOptions) => {
      if (options.image.data.join() === second)
        return Promise.reject(new CellsamError("ERR_NON_FINITE", "the weights are damaged"));
      return predict.call(session, options);
    }) as Session["predict"];
  };

  test("D35: a fault in inference is an error that names the image, never an empty result", async () => {
    const fault = {
      code: "ERR_NON_FINITE",
      message: "synthetic_001: the weights are damaged",
      detail: { image: pairs[1]?.image },
    };
    await expect(evaluate({}, failing)).rejects.toMatchObject(fault);
  });

  test("D35: failures are counted apart when asked to go on", async () => {
    const { summary, images, failures } = await evaluate({ keepGoing: true }, failing);
    expect(summary.images).toBe(2);
    expect(images.map(({ image }) => image)).toEqual(["synthetic_000", "synthetic_002"]);
    expect(failures).toEqual([
      { image: "synthetic_001", code: "ERR_NON_FINITE", message: "synthetic_001: the weights are damaged" },
    ]);
    expect((await evaluate()).failures).toBeUndefined();
  });

  test("gives the tuned thresholds in the shape of optimal_thresholds.json", async () => {
    const evaluation = await evaluate({ optimizeThreshold: ["recall"], thresholds: { validation: 0.3 } });
    expect(Object.keys(evaluation.best ?? {})).toEqual(["f1", "dice", "ap50", "recall"]);
    expect(evaluation.at?.validation).toMatchObject({ threshold: 0.3, f1: 0 });
    expect(optimalThresholds(evaluation).f1).toMatchObject({
      threshold: evaluation.best?.f1.threshold,
      score: 0,
      searchHistory: 1,
      settings: { adaptiveThreshold: false },
    });
    expect(optimalThresholds(await evaluate())).toEqual({});
  });
});

test("label images with scores.json beside them have a COCO AP", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cellsam-scores-"));
  const map = { data: Int32Array.of(1, 1, 0, 2), shape: [1, 4] as const };
  for (const side of ["truth", "predicted"]) await writeLabels(join(folder, side, "a.png"), map);
  const evaluate = () => evaluateFolders(join(folder, "truth"), join(folder, "predicted"));
  expect((await evaluate()).summary.cocoAp).toBeNull();
  const instances = [1, 2].map((id) => ({ id, score: 0.5, iou: 1, box: [0, 0, 1, 1] }));
  await writeJson(join(folder, "predicted", "scores.json"), [{ image: "a", labels: "a.png", cells: 2, instances }]);
  expect((await evaluate()).summary.cocoAp).toBe(1);
  await rm(folder, { recursive: true });
});

test("predictions in ignored pixels are no mistakes where the true masks say so", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cellsam-ignored-"));
  await writeLabels(join(folder, "truth", "a.png"), { data: Int32Array.of(1, 1, 0, 9), shape: [1, 4] });
  await writeLabels(join(folder, "predicted", "a.png"), { data: Int32Array.of(1, 1, 0, 2), shape: [1, 4] });
  const evaluate = (...more: string[]) => {
    const out = join(folder, "metrics.json");
    const paths = ["--masks", join(folder, "truth"), "--predictions", join(folder, "predicted"), "--out", out, "--overwrite"];
    const stdout = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    return evaluateCommand()
      .parseAsync([...paths, ...more], { from: "user" })
      .then(() => readJson<{ summary: { f1: number } }>(out))
      .finally(() => stdout.mockRestore());
  };
  // Pixel 4 is a cell of its own, found; or ignored, and what is predicted there does not count.
  const counts = async (ignoreLabel?: number) =>
    (await evaluateFolders(join(folder, "truth"), join(folder, "predicted"), { ...(ignoreLabel && { ignoreLabel }) })).images[0]
      ?.metrics;
  expect(await counts()).toMatchObject((await counts(7)) as object);
  expect(await counts(9)).not.toEqual(await counts());
  await writeLabels(join(folder, "predicted", "a.png"), { data: Int32Array.of(1, 1, 0, 0), shape: [1, 4] });
  expect((await evaluate()).summary.f1).toBeLessThan(1);
  for (const flags of [
    ["--ignore-label", "9"],
    ["--set", "ignore_label=9"],
    ["--set", "ignoreLabel=9"],
  ])
    expect((await evaluate(...flags)).summary.f1).toBe(1);
  for (const flags of [
    ["--set", "ignorelabl=9"],
    ["--set", "bboxThreshold=0.3"],
    ["--weights", "x.pth"],
  ])
    await expect(evaluate(...flags)).rejects.toMatchObject({ code: "ERR_CONFIG" });
  await rm(folder, { recursive: true });
});

test("true masks may be annotations, suffixes count on both sides, and what is left out is said", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cellsam-truth-"));
  const square = (x: number) => [x, 0, x + 2, 0, x + 2, 2, x, 2];
  const truth = {
    images: [{ id: 1, file_name: "a_img.png", width: 9, height: 2 }],
    categories: [
      { id: 1, name: "cell" },
      { id: 2, name: "debris" },
    ],
    annotations: [0, 3, 6].map((x, i) => ({ id: i, image_id: 1, category_id: i === 2 ? 2 : 1, segmentation: [square(x)] })),
  };
  await writeJson(join(folder, "truth.json"), truth);
  const row = [1, 1, 0, 2, 2, 0, 0, 0, 0];
  await writeLabels(join(folder, "predicted", "a_cp_masks.png"), { data: Int32Array.from([...row, ...row]), shape: [2, 9] });
  await writeLabels(join(folder, "predicted", "a.png"), { data: new Int32Array(18), shape: [2, 9] });
  const warnings: string[] = [];
  const evaluate = (categories: string[] | null) =>
    evaluateFolders(join(folder, "truth.json"), join(folder, "predicted"), {
      categories,
      onWarning: (text) => warnings.push(text),
    });
  expect((await evaluate(["cell"])).summary).toMatchObject({ f1: 1, counts: { truth: 2, predicted: 2 } });
  expect(warnings.join("\n")).toContain("taken for pictures and left out: 1 (a.png)");
  expect((await evaluate(null)).summary.counts).toMatchObject({ truth: 3, predicted: 2 });
  expect(warnings.join("\n")).toContain("2 categories: cell 2, debris 1");
  await expect(evaluate(["nucleus"])).rejects.toThrow(/no category nucleus; there are cell 2, debris 1/);
  await rm(folder, { recursive: true });
});
