/** A step of stage 2 on cached features with more and more prompts in the tile. */
import step from "./stage2-step.mjs";

/** @type {import("../types.js").Curve} */
export default {
  order: 20,
  name: "growth-prompts",
  title: "stage 2 step, seconds for so many prompts",
  sizes: [16, 64, 256, 1024],
  sides: [
    { kind: "native", row: "stage2" },
    { kind: "peer", row: "stage2", variant: { mode: "chunks", chunk: 16, dtype: "fp32", resize: "direct" }, sizes: [4, 16] },
  ],
  at: (cells) => ({
    ...step,
    fixture: { key: `stage2-${cells}`, steps: step.fixture.steps },
    parameters: { cells, cached: true },
  }),
};
