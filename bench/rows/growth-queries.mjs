/** A step of stage 1 on cached features with more and more queries. */
import step from "./stage1-head.mjs";

/** @type {import("../types.js").Curve} */
export default {
  order: 21,
  name: "growth-queries",
  title: "stage 1 step on cached features, seconds for so many queries",
  sizes: [100, 350, 1000, 3500],
  sides: [
    { kind: "native", row: "stage1", variant: { precision: "bf16" } },
    { kind: "peer", row: "stage1", variant: { dtype: "bf16" } },
  ],
  at: (queries) => ({
    ...step,
    fixture: { key: `stage1-queries-${queries}`, steps: step.fixture.steps },
    parameters: { cells: Math.min(100, queries), queries, cached: true },
  }),
};
