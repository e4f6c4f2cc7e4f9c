/** Images from disk to tensors: decoding alone, then with flips and quarter turns. Times are per image with its label map. */
const files = 16;
/** @type {import("../types.js").SideRow} */
const drawn = { kind: "peer", row: "decode" };
/** @satisfies {Partial<import("../types.js").Contest>} */
const shared = {
  per: files,
  devices: ["cpu"],
  fixture: { key: `pictures-${files}`, steps: [drawn, { kind: "package", row: "tiles" }] },
  parameters: { files },
  tolerance: 1e-6,
  memory: false,
};

/** @type {import("../types.js").Contest[]} */
export default [
  {
    ...shared,
    order: 10,
    name: "png-decode",
    title: "PNG decode, 512 image and label map, against PIL",
    target: { cpu: 1.5 },
    peer: { kind: "peer", row: "decode", variants: [{}] },
    product: { kind: "package", row: "decode", variants: [{}] },
  },
  {
    ...shared,
    order: 11,
    name: "tiles-augment",
    title: "decode, D4 and to tensor, against PIL and torch",
    target: { cpu: 20 },
    note: "the peer decodes in every epoch, as a data set of PyTorch does; the product reads its store of decoded tiles (work changed)",
    peer: { kind: "peer", row: "tiles", variants: [{}] },
    product: { kind: "native", row: "tiles", variants: [{}] },
  },
  {
    ...shared,
    order: 12,
    name: "tiles-memory",
    title: "D4 and to tensor of decoded tiles, against torch on arrays in memory",
    peer: { kind: "peer", row: "tiles", variants: [{ memory: true }] },
    product: { kind: "native", row: "tiles", variants: [{}] },
  },
  {
    ...shared,
    order: 13,
    name: "tiles-network",
    title: "picture to the network's input at 1024, against the Python module's way",
    note: "the peer decodes and goes through PIL twice, without augmentation; the product reads its store, with D4 (work changed)",
    parameters: { files, network: 1024 },
    peer: { kind: "peer", row: "tiles", variants: [{}] },
    product: { kind: "native", row: "tiles", variants: [{}] },
  },
];
