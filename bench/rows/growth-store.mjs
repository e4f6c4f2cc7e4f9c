/**
 * Stores of more and more tiles of 16 x 16: opening and shuffling one, and reading all of it besides.
 * @type {(name: string, order: number, title: string, reads?: number) => import("../types.js").Curve}
 */
const curve = (name, order, title, reads) => ({
  order,
  name,
  title,
  devices: ["cpu"],
  sizes: [1, 10, 100, 1000, 10_000, 100_000],
  sides: [{ kind: "native", row: "store" }],
  at: (tiles) => ({
    fixture: { key: `store-${tiles}`, steps: [{ kind: "native", row: "store", parameters: { tiles } }] },
    parameters: { tiles, reads: reads ?? tiles },
  }),
});

/** @type {import("../types.js").Curve[]} */
export default [
  curve("growth-store-open", 23, "open a store, shuffle it and read 1 tile, seconds for so many tiles", 1),
  curve("growth-store-read", 24, "open a store, shuffle it and read every tile, seconds for so many tiles"),
];
