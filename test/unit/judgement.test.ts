import { describe, expect, it } from "vitest";
import { emptyPredictions, worseThanBefore } from "../../lib/evaluation/judgement.js";

describe("what an evaluation warns of", () => {
  it("nothing predicted where there are cells", () => {
    expect(emptyPredictions({ counts: { truth: 12, predicted: 0 } }, "fold 2")).toMatch(
      /^fold 2: not a single cell.*there are 12/,
    );
    expect(emptyPredictions({ counts: { truth: 12, predicted: 1 } }, "x")).toBeNull();
    expect(emptyPredictions({ counts: { truth: 0, predicted: 0 } }, "x")).toBeNull();
  });

  it("a model that is worse than the one it started from, with both numbers", () => {
    const before = { ap50: 0.5, f1: 0.25, pq: 0.5, meanAp: null, images: 9 };
    expect(worseThanBefore(before, { ap50: 0.375, f1: 0.5, pq: 0.5, meanAp: 0.1, images: 1 }, "fold 1")).toMatch(
      /^fold 1: the trained model is worse .*: AP at \.5 0\.5000 -> 0\.3750\. Lower/,
    );
    expect(worseThanBefore(before, { ap50: 0.5, f1: 0.3, pq: 0.9 }, "x")).toBeNull();
    expect(worseThanBefore({}, { ap50: 0 }, "x")).toBeNull();
  });
});
