/**
 * From the start of a process to the end of its first training step with a tiny model.
 * @type {import("../types.js").Contest}
 */
export default {
  order: 14,
  name: "startup",
  title: "process start to first step, tiny",
  target: { cpu: 6, cuda: 2 },
  memory: false,
  fixture: { key: "startup", steps: [{ kind: "package", row: "startup" }] },
  peer: { kind: "peer", row: "startup", variants: [{}] },
  product: { kind: "package", row: "startup", variants: [{}] },
};
