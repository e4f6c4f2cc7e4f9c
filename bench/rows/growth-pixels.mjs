/** The encoder forward on larger and larger images. */
import forward from "./encoder-forward.mjs";

/** @type {import("../types.js").Curve} */
export default {
  order: 22,
  name: "growth-pixels",
  title: "encoder forward bf16, seconds for so many pixels a side",
  sizes: [256, 512, 768, 1024],
  sides: [
    { kind: "native", row: "encoder", variant: { precision: "bf16" } },
    { kind: "peer", row: "encoder", variant: { impl: "own-aug", dtype: "bf16" } },
  ],
  at: (side) => ({
    ...forward,
    fixture: { key: `encoder-${side}`, steps: forward.fixture.steps },
    parameters: { trains: false, image_size: side },
  }),
};
