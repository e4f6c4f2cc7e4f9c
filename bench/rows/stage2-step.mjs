/** A step of stage 2 on cached features of the frozen backbone: neck, decoder, losses, backward to the neck, AdamW. */
const prompts = 64;

/** @type {import("../types.js").Contest} */
export default {
  order: 3,
  name: "stage2-step",
  title: `stage 2 step on cached features, ${prompts} prompts in a 512 tile, per prompt`,
  target: { cpu: 6, cuda: 6 },
  per: prompts,
  slow: true,
  fixture: { key: `stage2-${prompts}`, steps: [{ kind: "native", row: "stage2" }] },
  parameters: { cells: prompts, cached: true },
  peer: {
    kind: "peer",
    row: "stage2",
    variants: [
      { mode: "chunks", chunk: 1, dtype: "fp32", resize: "direct" },
      { mode: "chunks", chunk: 16, dtype: "fp32", resize: "direct" },
      { mode: "chunks", chunk: 16, dtype: "bf16", resize: "direct" },
      { mode: "chunks", chunk: 16, dtype: "fp32", resize: "direct", compile: true },
    ],
  },
  product: { kind: "native", row: "stage2", variants: [{ precision: "fp32" }, { precision: "bf16" }] },
};
