// The formulas of how much the networks multiply and add, against counts by hand and published ones.
import { describe, expect, it } from "vitest";
import { backbone, detectorHead, flops, type ModelSize, maskDecoder, neck, sum, times, trained } from "../../lib/bench/work.js";
import { engineCommand } from "../../lib/engine/commands.js";

/** 2 x 2 image tokens of 8 channels. */
const small: ModelSize = {
  name: "small",
  imageSize: 32,
  patch: 16,
  embedDim: 8,
  depth: 1,
  mlpRatio: 4,
  window: 0,
  globalBlocks: [],
  promptDim: 16,
  decoderDepth: 2,
  decoderMlp: 32,
  numMultimask: 3,
  iouDepth: 3,
  iouHidden: 4,
  detectorDim: 8,
  detectorFfn: 32,
  encoderLayers: 1,
  decoderLayers: 1,
  numQueries: 5,
  numPatterns: 2,
  numClasses: 2,
};

describe("multiply-adds by hand", () => {
  it("of one block with global attention", () => {
    // Patches: 4 tokens of 3 * 16 * 16 = 768 numbers to 8 channels. Query, key, value and output: 4 * 4 * 8 * 8. Perceptron:
    // 4 * 8 * 32 there and back. Scores and sums: 4 * 4 * 8 each.
    expect(backbone(small)).toEqual({ weights: 24_576 + 1024 + 2048, activations: 256 });
  });

  it("of one block with windows, which reach past the grid", () => {
    // 3 x 3 tokens in windows of 2 x 2: each token attends to 4, of which padding makes 16 queries.
    const windows = { ...small, imageSize: 48, window: 2 };
    const patches = 9 * 768 * 8;
    const perceptron = 2 * 9 * 8 * 32;
    expect(backbone(windows)).toEqual({ weights: patches + 4 * 9 * 64 + perceptron, activations: 2 * 9 * 4 * 8 });
    expect(backbone(windows, { padding: true })).toEqual({
      weights: patches + 4 * 16 * 64 + perceptron,
      activations: 2 * 16 * 4 * 8,
    });
    expect(backbone({ ...windows, depth: 2, globalBlocks: [1] }).activations).toBe(2 * 9 * 4 * 8 + 2 * 9 * 9 * 8);
  });

  it("of the neck", () => {
    expect(neck(small)).toEqual({ weights: 4 * 8 * 16 + 4 * 9 * 16 * 16, activations: 0 });
  });

  it("of the detector's head", () => {
    // The encoder's queries are the 4 tokens: 2 projections of queries, 1 of values and the output of 4 rows each; 2 of keys of
    // 2 rows. Scores over 2 columns and 2 rows; for each query the 2 x 2 tokens are summed over rows, and 2 over columns.
    const encoder = { weights: (4 * 4 + 2 * 2) * 64 + 2 * 4 * 8 * 32, activations: 4 * 8 * (2 + 2 + 4 + 2) };
    // 5 anchors with 2 patterns are 10 queries.
    const own = { weights: 4 * 10 * 64, activations: 2 * 10 * 10 * 8 };
    const cross = { weights: (3 * 10 + 4 + 2 * 2) * 64, activations: 10 * 8 * 10 };
    const heads = { weights: 2 * 10 * 8 * 32 + 10 * 8 * 2 + 2 * 10 * 64 + 10 * 8 * 4, activations: 0 };
    expect(detectorHead(small)).toEqual(sum({ weights: 4 * 8 * 8, activations: 0 }, encoder, own, cross, heads));
  });

  it("of the mask decoder for one prompt", () => {
    // 1 + 4 + 2 tokens and 4 pixels of 16 channels; attention between them has 8 channels.
    const cross = { weights: 2 * 7 * 16 * 8 + 2 * 4 * 16 * 8, activations: 2 * 7 * 4 * 8 };
    const own = { weights: 4 * 7 * 16 * 16, activations: 2 * 7 * 7 * 16 };
    const perceptron = { weights: 2 * 7 * 16 * 32, activations: 0 };
    // Each pixel becomes 4 of 4 channels, each of these 4 of 2, and the filter sums 2 channels of 64 pixels.
    const upscaling = { weights: 4 * 16 * 4 * 4 + 16 * 4 * 4 * 2 + 64 * 2, activations: 0 };
    const filter = { weights: 16 * 16 + 16 * 16 + 16 * 2, activations: 0 };
    const iou = { weights: 16 * 4 + 4 * 4 + 4 * 4, activations: 0 };
    expect(maskDecoder(small)).toEqual(sum(times(2, sum(own, cross, cross, perceptron)), cross, upscaling, filter, iou));
  });

  it("of a training step: twice more, or once more where weights stay as they are", () => {
    const work = { weights: 10, activations: 3 };
    expect(trained(work, { weights: true })).toEqual({ weights: 30, activations: 9 });
    expect(trained(work, { weights: false })).toEqual({ weights: 20, activations: 9 });
    expect(flops(work)).toBe(26);
  });
});

describe("published counts of SAM's image encoder at 1024 x 1024", () => {
  const sizeOf = (name: string) => engineCommand<ModelSize[]>("sizes").find((size) => size.name === name) as ModelSize;
  const encoder = (name: string) => sum(backbone(sizeOf(name), { padding: true }), neck(sizeOf(name)));

  it("vit_h: 2973 GMACs (EfficientViT-SAM, arXiv 2402.05008)", () => {
    expect(Math.round(flops(encoder("vit_h")) / 2e9)).toBe(2973);
  });

  it("vit_b: about 370 GMACs where only layers with weights are counted; 984 GFLOP with everything (sophgo/model-zoo #350)", () => {
    expect(encoder("vit_b").weights / 1e9).toBeCloseTo(370, -1);
    const all = flops(encoder("vit_b")) / 1e9;
    expect(all).toBeLessThan(984.228);
    expect(all).toBeGreaterThan(0.97 * 984.228); // which has norms, softmax and positions too
  });
});
