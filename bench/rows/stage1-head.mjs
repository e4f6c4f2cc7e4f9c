/** A step of stage 1 on cached features of a frozen backbone: head, matching of all layers, losses, backward, AdamW. */
const targets = 100;

/** @type {import("../types.js").Contest} */
export default {
  order: 6,
  name: "stage1-head",
  title: `stage 1 step, head on cached features, 3500 queries, ${targets} targets`,
  target: { cpu: 3, cuda: 12 },
  flop: 0.884e12,
  slow: true,
  fixture: { key: `stage1-${targets}`, steps: [{ kind: "native", row: "stage1" }] },
  parameters: { cells: targets, cached: true },
  peer: {
    kind: "peer",
    row: "stage1",
    variants: [{ dtype: "fp32" }, { dtype: "bf16" }, { dtype: "bf16", compile: true }],
  },
  product: { kind: "native", row: "stage1", variants: [{ precision: "fp32" }, { precision: "bf16" }] },
};
