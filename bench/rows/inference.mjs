/**
 * From an image to its label map, against the official order of work: box after box through the mask decoder, in fp32.
 * @type {import("../types.js").Contest}
 */
export default {
  order: 9,
  name: "inference",
  title: "full inference, 100 cells, 512 image, against the official per-box way",
  target: { cpu: 4, cuda: 20 },
  slow: true,
  fixture: { key: "inference-100", steps: [{ kind: "native", row: "inference" }] },
  parameters: { cells: 100 },
  peer: {
    kind: "peer",
    row: "inference",
    variants: [{ attention: "aug" }, { attention: "sdpa" }, { attention: "math" }],
  },
  product: { kind: "native", row: "inference", variants: [{ precision: "fp32" }, { precision: "bf16" }] },
  tolerance: 2e-2,
};
