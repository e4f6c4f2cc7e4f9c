/**
 * Cost matrix and assignment of one image and decoder layer.
 * @type {import("../types.js").Contest}
 */
export default {
  order: 8,
  name: "matching",
  title: "matching 3500 x 500, cost and assignment",
  target: { cpu: 27, cuda: 60 },
  fixture: { key: "matching", steps: [{ kind: "native", row: "matching" }] },
  parameters: { queries: 3500, targets: 500 },
  peer: { kind: "peer", row: "matching", variants: [{}] },
  product: { kind: "native", row: "matching", variants: [{}] },
};
