/** A step of stage 1 in which everything trains, the backbone included. */
import head from "./stage1-head.mjs";

/** @type {import("../types.js").Contest} */
export default {
  ...head,
  order: 7,
  name: "stage1-full",
  title: "stage 1 step, everything trained, 3500 queries, 100 targets",
  target: { cpu: 3.5, cuda: 4.5 },
  flop: 0.884e12 + 2.85e12,
  parameters: { cells: 100, cached: false, trains_trunk: true },
  peer: {
    kind: "peer",
    row: "stage1",
    variants: [
      { attention: "aug", dtype: "bf16" },
      { attention: "math", dtype: "bf16" },
    ],
  },
  product: { kind: "native", row: "stage1", variants: [{ precision: "bf16" }] },
};
