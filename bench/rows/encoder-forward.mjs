/**
 * SAM's image encoder as inference runs it.
 * @type {import("../types.js").Contest}
 */
export default {
  order: 1,
  name: "encoder-forward",
  title: "encoder forward, vit_b 1024, bf16",
  target: { cpu: 2, cuda: 1.4 },
  flop: 0.9721e12,
  slow: true,
  fixture: { key: "encoder-1024", steps: [{ kind: "native", row: "encoder" }] },
  parameters: { trains: false },
  peer: {
    kind: "peer",
    row: "encoder",
    variants: [
      { impl: "own-aug", dtype: "bf16" },
      { impl: "own-sdpa", dtype: "bf16" },
      { impl: "hf-sdpa", dtype: "bf16" },
      { impl: "own-sdpa", dtype: "bf16", compile: true },
    ],
  },
  product: { kind: "native", row: "encoder", variants: [{ precision: "bf16" }] },
};
