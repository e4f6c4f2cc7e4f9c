import { cp, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { predictOptions } from "../../lib/config/inference.js";
import { loadDataset } from "../../lib/data/dataset.js";
import { pairImage } from "../../lib/data/pair.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { openStoreWriter } from "../../lib/engine/storeWriter.js";
import { storeKey, tileStore } from "../../lib/train/tiles.js";
import { rowsHere } from "../device.js";
import { side, smallSession } from "./training-tiles.js";

let folder: string;
let data: { imgPath: string; maskPath: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-tiles-"));
  data = await generateSynthetic({ directory: join(folder, "data"), images: 3, size: side, seed: 4 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (more: object = {}) => {
  const { imgPath, maskPath } = data;
  return new ExperimentConfig({
    imgPath,
    maskPath,
    outputName: "tiles",
    size: "tiny",
    tileSize: side,
    minFragmentArea: 0,
    ...more,
  });
};

/** What a run does to get its tiles: how many images were cut anew, and what it warned of. */
async function open(config: ExperimentConfig, cacheDir: string) {
  const { pairs } = await loadDataset(config);
  const key = await storeKey(pairs, config, "1");
  const cut = { images: 0 };
  const warnings: string[] = [];
  const store = await tileStore(pairs, config, {
    cacheDir,
    key,
    openStoreWriter,
    onProgress: () => cut.images++,
    onWarning: (message) => warnings.push(message),
  });
  return { store, pairs, cut: cut.images, warnings };
}

/** The u8 [3,T,T] of tile `i`, by the layout that native/data/store_format.h states. */
async function tilePixels(path: string, i: number): Promise<Uint8Array> {
  const pitch = Math.ceil((7 * side * side) / 64) * 64;
  const start = 64 + i * pitch + 4 * side * side;
  return (await readFile(path)).subarray(start, start + 3 * side * side);
}

describe("stored tiles", () => {
  test("are cut once, and found again", async () => {
    const cacheDir = join(folder, "once");
    const first = await open(configOf(), cacheDir);
    expect([first.cut, first.warnings]).toEqual([3, []]);
    const second = await open(configOf(), cacheDir);
    expect([second.cut, second.warnings]).toEqual([0, []]);
    expect(second.store).toEqual(first.store);
  });

  test("D37: an image or mask that changes under its old name is cut anew", async () => {
    const own = { imgPath: join(folder, "changing/i"), maskPath: join(folder, "changing/m") };
    for (const path of ["imgPath", "maskPath"] as const) await cp(data[path], own[path], { recursive: true });
    const config = configOf(own);
    const cacheDir = join(folder, "changing/tiles");
    const before = await open(config, cacheDir);
    const [a, b] = before.pairs as [(typeof before.pairs)[0], (typeof before.pairs)[0]];
    await cp(b.image, a.image);
    const changed = await open(config, cacheDir);
    expect([changed.cut, changed.warnings]).toEqual([3, []]);
    expect(changed.store.path).not.toBe(before.store.path);
    expect(await tilePixels(changed.store.path, 0)).toEqual(await tilePixels(before.store.path, 1));
    expect(await tilePixels(changed.store.path, 0)).not.toEqual(await tilePixels(before.store.path, 0));
    await cp(b.mask as string, a.mask as string);
    expect((await open(config, cacheDir)).store.path).not.toBe(changed.store.path);
  });

  test.each([{ normalize: true }, { normalize: false }])(
    "D46: hold what prediction shows the model, with $normalize as normalize",
    async (settings) => {
      const config = configOf(settings);
      const { store, pairs } = await open(config, join(folder, `same-${settings.normalize}`));
      await using session = await smallSession();
      const asStored = predictOptions(configOf({ normalize: false }));
      for (const [i, pair] of pairs.entries()) {
        const raw = await pairImage(pair, config);
        const stored = { data: await tilePixels(store.path, i), shape: [3, side, side] };
        const limits = { floor: 0, maxCandidates: 20, tileSize: 0, iouThreshold: -100, minArea: 1, minVisible: 0 };
        const shown = await session.candidates({ image: raw, ...predictOptions(config), ...limits });
        expect(shown.scores.data.length).toBeGreaterThan(0);
        expect(await session.candidates({ image: stored, ...asStored, ...limits })).toEqual(shown);
        // Another preparation would be seen.
        const other = predictOptions(configOf({ normalize: !settings.normalize }));
        expect(await session.candidates({ image: raw, ...other, ...limits })).not.toEqual(shown);
      }
    },
  );
});

describe("damaged tiles", () => {
  /** Changes one byte. */
  const flip = (at: (size: number) => number) => async (path: string) => {
    const bytes = await readFile(path);
    const i = at(bytes.length);
    bytes[i] = (bytes[i] as number) ^ 1;
    await writeFile(path, bytes);
  };
  const cuts = (share: number) => async (path: string) => truncate(path, Math.floor((await readFile(path)).length * share));
  const digits = async (path: string) =>
    writeFile(path, (await readFile(path, "utf8")).replace(/"tiles":(\s*)1/, '"tiles":$12'));

  test.each(
    rowsHere([
      ["the store is cut short", "store", cuts(0.5)],
      ["the store is empty", "store", cuts(0)],
      ["a byte of the store's head is flipped", "store", flip(() => 16)],
      ["a byte of a tile is flipped", "store", flip(() => 64 + 5 * side * side)],
      ["the last byte of the store is flipped", "store", flip((size) => size - 1)],
      ["the index is cut short", "index", cuts(0.5)],
      ["the index is empty", "index", cuts(0)],
      ["the index counts other tiles", "index", digits],
    ] as const),
  )("are noticed and cut again when %s", async (_, which, damage) => {
    const cacheDir = await mkdtemp(join(folder, "damaged-"));
    const whole = await open(configOf(), cacheDir);
    const files = { store: whole.store.path, index: whole.store.path.replace(/store$/, "json") };
    const bytes = await Promise.all(Object.values(files).map((file) => readFile(file)));
    const path = files[which as "store" | "index"];
    await damage(path);
    expect(await readFile(path)).not.toEqual(bytes[which === "store" ? 0 : 1]);
    const again = await open(configOf(), cacheDir);
    expect(again.cut).toBe(3);
    expect(again.warnings).toEqual([expect.stringContaining("damaged")]);
    expect(again.store).toEqual(whole.store);
    expect(await Promise.all(Object.values(files).map((file) => readFile(file)))).toEqual(bytes);
  });

  test("are no news where the index was never written: the run that cut them was killed", async () => {
    const cacheDir = await mkdtemp(join(folder, "killed-"));
    const whole = await open(configOf(), cacheDir);
    await rm(whole.store.path.replace(/store$/, "json"));
    const again = await open(configOf(), cacheDir);
    expect([again.cut, again.warnings]).toEqual([3, []]);
  });
});
