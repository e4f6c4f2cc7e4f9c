/** Focal, dice and boundary loss of 512 x 512 masks from logits of 256 x 256, forward and backward. */
const masks = 8;
/** @satisfies {Partial<import("../types.js").Contest>} */
const shared = {
  per: masks,
  fixture: { key: `mask-losses-${masks}`, steps: [{ kind: "native", row: "mask-losses" }] },
  parameters: { masks },
  product: { kind: "native", row: "mask-losses", variants: [{ precision: "fp32" }] },
};

/** @type {import("../types.js").Contest[]} */
export default [
  {
    ...shared,
    order: 4,
    name: "mask-losses-compile",
    title: "mask losses 512 from 256, forward and backward, per mask, against torch.compile",
    target: { cpu: 20, cuda: 8 },
    peer: {
      kind: "peer",
      row: "mask-losses",
      variants: [
        { resize: "direct", compile: true },
        { resize: "twice", compile: true },
      ],
    },
  },
  {
    ...shared,
    order: 5,
    name: "mask-losses-eager",
    title: "mask losses 512 from 256, forward and backward, per mask, against eager",
    target: { cpu: 50 },
    peer: { kind: "peer", row: "mask-losses", variants: [{ resize: "direct" }, { resize: "twice" }] },
  },
];
