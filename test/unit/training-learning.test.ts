// That training works: both stages in fp32 and bf16 bring their losses down on four tiles, and what they learnt finds the cells
// of these tiles again. Coordinates, preprocessing, weight transfer and inference must agree for that.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluatePair } from "../../lib/evaluation/pairs.js";
import { isPretend, longTest, rowsHere } from "../device.js";
import { ellipses, smallSession, storeOf, train } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-learning-"));
// A pretend GPU takes its time: it learns less.
const tiles = (isPretend ? [5, 6] : [5, 6, 4, 7]).map((cells, i) => ellipses(i + 1, cells));
const indices = tiles.map((_, i) => i);
let store: string;
beforeAll(async () => {
  store = await storeOf(tiles, join(folder, "tiles"));
});
afterAll(() => rmSync(folder, { recursive: true }));

// From random weights the whole mask model must learn, and the dice loss alone: focal and boundary loss first make all masks
// empty, and leave it to a released model's weights to know what a cell looks like.
const fromScratch = {
  trainNeckOnly: false,
  freezeImageEncoder: false,
  freezePromptEncoder: false,
  freezeMaskDecoder: false,
  focalLossWeight: 0,
  useBoundaryLoss: false,
};

describe.each(
  rowsHere([
    [1, {}],
    [2, fromScratch],
  ] as const),
)("stage %i in bf16", (stage, options) => {
  test("starts where fp32 starts and learns", async () => {
    const epochs = 25;
    const histories = [];
    for (const precision of ["fp32", "bf16"] as const) {
      await using session = await smallSession({ precision });
      await session.beginStage({ stage, epochs, stepsPerEpoch: 1, learningRate: 2e-3, weightDecay: 0, ...options });
      const history: number[] = [];
      for (let epoch = 0; epoch < epochs; ++epoch) {
        history.push((await train(session, store, indices, { epoch, batchSize: 4 })).losses.total_loss as number);
      }
      histories.push(history);
    }
    const [full, half] = histories as [number[], number[]];
    expect(half.every(Number.isFinite)).toBe(true);
    expect(half).not.toEqual(full);
    expect(Math.abs((half[0] as number) / (full[0] as number) - 1)).toBeLessThan(2e-2);
    for (const history of histories) expect(history.at(-1)).toBeLessThan(0.8 * (history[0] as number));
  });
});

longTest("both stages learn a few tiles by heart, and prediction finds their cells", async () => {
  const overrides = { embedDim: 64, promptDim: 64, detectorDim: 64, detectorFfn: 128, numQueries: 36 };
  await using session = await smallSession({ overrides });
  const learn = async (options: { stage: 1 | 2; epochs: number } & Record<string, unknown>) => {
    await session.beginStage({ stepsPerEpoch: 1, learningRate: 2e-3, weightDecay: 0, scheduler: "cosine", ...options });
    const history = [];
    for (let epoch = 0; epoch < options.epochs; ++epoch) {
      history.push((await train(session, store, indices, { epoch, batchSize: 4 })).losses);
    }
    await session.endStage();
    return [history[0], history.at(-1)] as [Record<string, number>, Record<string, number>];
  };

  const [first, last] = await learn({ stage: 1, epochs: 250 });
  expect(last.total_loss).toBeLessThan((first.total_loss as number) / 3);
  await session.transferWeights();
  const [before, after] = await learn({ stage: 2, epochs: 200, ...fromScratch, iouLossWeight: 1 });
  expect(after.dice_loss).toBeLessThan((before.dice_loss as number) / 3);

  for (const { image, labels } of tiles) {
    const prediction = await session.predict({ image, normalize: false, minArea: 10, nmsIou: 0.5 });
    expect((await evaluatePair(labels, prediction.labels)).f1).toBeGreaterThan(0.8);
    const { ious } = await session.promptIou({ image, labels, normalize: false });
    expect(ious.data.reduce((sum, iou) => sum + iou, 0) / ious.data.length).toBeGreaterThan(0.8);
  }
});
