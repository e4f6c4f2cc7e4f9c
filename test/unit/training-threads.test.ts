// A small network trains on a CPU image by image: what it learns does not depend on the number of threads.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ellipses, smallSession, storeOf, train } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-threads-"));
let store: string;
beforeAll(async () => {
  store = await storeOf(
    [3, 0, 7, 1, 5].map((cells, i) => ellipses(i + 1, cells)),
    join(folder, "tiles"),
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["stage 1", 1, {}],
  ["stage 1 on kept features", 1, { freezeBackbone: true, featureCacheDir: join(folder, "features") }],
  ["stage 2", 2, { promptChunk: 3 }],
  ["stage 2 with the decoder", 2, { trainNeckOnly: false, freezeMaskDecoder: false, maxPrompts: 2, boxJitter: 0.1 }],
  ["stage 2 with mining", 2, { onlineHardNegativeMining: true }],
] as const)("%s: the same weights with 1, 2 and 3 threads", async (_, stage, options) => {
  const learn = async (threads: number) => {
    await using session = await smallSession({ threads, device: "cpu" });
    await session.beginStage({ epochs: 2, stepsPerEpoch: 2, ...options, stage });
    const how = { batchSize: 3, augment: true };
    const epochs = [];
    for (const epoch of [1, 2]) epochs.push((await train(session, store, [0, 1, 2, 3, 4], { ...how, epoch })).losses);
    const { losses } = await session.validate({ store, indices: Int32Array.of(0, 1, 2, 3, 4), batchSize: 2 });
    return { epochs, losses, digest: await session.digest() };
  };
  const one = await learn(1);
  expect(await learn(2)).toEqual(one);
  expect(await learn(3)).toEqual(one);
});
