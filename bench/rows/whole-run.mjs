/**
 * A whole run of stage 2 against the Python module's way. Both sides are measured tile by tile, the product with a cold and
 * with a warm cache, and extrapolated linearly; the measured parts are in the results as `runs`.
 */
const [tiles, epochs, cells] = [200, 20, 40];
/** Flips and quarter turns of a tile: more than an epoch can draw, so the fill of the cache is never counted too low. */
const turns = 8;

/** @type {import("../types.js").Contest} */
export default {
  order: 15,
  name: "whole-run",
  title: `whole run, ${tiles} tiles, ${epochs} epochs of stage 2, ${cells} cells each, against the Python module's way (extrapolated)`,
  target: { cpu: 10, cuda: 100 },
  slow: true,
  note:
    `seconds of ${tiles} x ${epochs} tile-epochs, extrapolated from one at a time: the peer's is encoder, prompts one by one and losses; the product's ` +
    `is ${tiles * turns} fills of the cache (cold minus warm) and ${tiles * epochs} warm steps`,
  fixture: {
    key: `whole-run-${cells}`,
    steps: [
      { kind: "native", row: "stage2", parameters: { cells } },
      { kind: "package", row: "whole-run", parameters: { cells } },
    ],
  },
  parameters: { cells, cached: false },
  peer: { kind: "peer", row: "stage2", variants: [{ mode: "loop", dtype: "fp32" }] },
  product: { kind: "package", row: "whole-run", variants: [{ precision: "bf16" }] },
  total(answer, kind, side) {
    if (side === "peer") return answer[kind] * tiles * epochs;
    const { cold, warm } = answer;
    if (!cold || !warm) throw new Error("the product tells no times with a cold and a warm cache");
    return Math.max(0, cold[kind] - warm[kind]) * tiles * turns + warm[kind] * tiles * epochs;
  },
};
