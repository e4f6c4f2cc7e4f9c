/**
 * SAM's image encoder forward and backward to all of its weights. Compiling takes many minutes at this size; at 512 the
 * compiled encoder was slower than the fastest eager one.
 */
import forward from "./encoder-forward.mjs";

/** @type {import("../types.js").Contest} */
export default {
  ...forward,
  order: 2,
  name: "encoder-training",
  title: "encoder forward and backward, vit_b 1024, bf16",
  target: { cpu: 2, cuda: 1.5 },
  flop: 2.911e12,
  parameters: { trains: true },
  peer: {
    ...forward.peer,
    variants: [
      { impl: "own-aug", dtype: "bf16" },
      { impl: "own-math", dtype: "bf16" },
    ],
  },
};
