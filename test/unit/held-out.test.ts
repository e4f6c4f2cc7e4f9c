/** Held-out images are measured at thresholds that were tuned without them, however many detections they have. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { predictSchema } from "../../lib/config/inference.js";
import { discover } from "../../lib/data/discover.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { openSession } from "../../lib/engine/session.js";
import { type EvaluationContext, evaluateModel } from "../../lib/evaluation/model.js";
import { testDevice } from "../device.js";

test("D28: a threshold that has more detections above it than maxCandidates holds all the same", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cellsam-held-"));
  const data = await generateSynthetic({ directory: folder, images: 1, size: 64, seed: 1 });
  const { pairs } = await discover(data);
  const session = await openSession({ device: testDevice, size: "tiny", seed: 1 });
  try {
    const { inference, evaluation, ...rest } = predictSchema().parse({ weights: "none", evaluation: { maxCandidates: 1 } });
    const config = { ...rest, inference: { ...inference, bboxThreshold: 0.99 }, evaluation, binaryMasks: false, tileSize: 64 };
    const context = { session, config, emit: () => undefined } as unknown as EvaluationContext;
    // Weights from scratch give all queries nearly the same small score: one candidate lies above the search's floor.
    const { at } = await evaluateModel(context, pairs, { thresholds: { tuned: 0.0001 } });
    expect(at?.tuned?.threshold).toBe(0.0001);
    await expect(evaluateModel(context, pairs, { optimizeThreshold: true, thresholds: { tuned: 0.0001 } })).rejects.toThrow(
      /lies below/,
    );
  } finally {
    await session.dispose();
    await rm(folder, { recursive: true });
  }
});
