// A step whose loss is not finite, with steps after it that are fine: a GPU tells of it when the next one has begun. The weights
// stay as they were before the bad step, and its origin is found with them.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CellsamError } from "../../lib/errors.js";
import { rowsHere } from "../device.js";
import { ellipses, plainSgd, side, smallSession, spoilWeights, storeOf, type Tile, train } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-late-"));
const patches = "model.image_encoder.patch_embed.proj";
let store: string; // 0: grey, 1: striped, with the same cells
beforeAll(async () => {
  store = await storeOf([painted(() => 116), painted((column) => 100 + 155 * (column % 2))], join(folder, "tiles"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function painted(brightness: (column: number) => number): Tile {
  const data = Uint8Array.from({ length: 3 * side * side }, (_, i) => brightness(Math.floor(i / 3) % side));
  return { ...ellipses(1, 4), image: { data, shape: [side, side, 3] } };
}

/** A session whose patches have a feature that is the difference of two columns, which overflows where they are striped. */
async function spoiled(options: Record<string, unknown>) {
  const session = await smallSession();
  await spoilWeights(session, folder, `${patches}.weight`, (values) => {
    values.fill(0, 0, 3 * 8 * 8);
    // Powers of two, whose products are exact, so that equal pixels give 0.
    for (const channel of [0, 1, 2]) values.set([-(2 ** 126), 2 ** 126], channel * 8 * 8);
  });
  await session.beginStage({ epochs: 100, stepsPerEpoch: 4, ...plainSgd, stage: 2, ...options });
  return session;
}

test.each(
  rowsHere([
    ["sgd", {}],
    ["adamw", { optimizer: "adamw", learningRate: 1e-3 }],
    ["adamw, graphs", { optimizer: "adamw", learningRate: 1e-3, cudaGraphs: true }],
  ] as const),
)("%s: the weights are as before the bad step", async (_, options) => {
  // The order of tiles is another one in each epoch: one in which the striped tile is neither the first nor the last.
  for (let epoch = 0; ; ++epoch) {
    await using session = await spoiled(options);
    const failed = train(session, store, [0, 0, 0, 1], { epoch });
    const error = (await failed.catch((reason: unknown) => reason)) as CellsamError;
    expect(error).toMatchObject({ code: "ERR_NON_FINITE_LOSS", detail: { images: ["tile1"], layer: patches } });
    const step = error.detail.step as number;
    if (step === 1 || step === 4) continue;
    const weights = await session.digest();
    await using before = await spoiled(options);
    const initial = await before.digest();
    await train(before, store, Array<number>(step - 1).fill(0), { epoch });
    expect(weights).toEqual(await before.digest());
    expect(weights).not.toEqual(initial);
    return;
  }
});
