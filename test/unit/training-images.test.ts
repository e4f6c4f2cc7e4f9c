/** Training as the settings of images change it: complex augmentation, ignored regions, and one preparation of pixels for all. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openStoreWriter } from "../../lib/engine/storeWriter.js";
import { ellipses, plainSgd, side, smallSession, storeOf, type Tile, tinyRate, train } from "./training-tiles.js";

let folder = "";
let store = "";
const common = { epochs: 1, stepsPerEpoch: 1, ...plainSgd, learningRate: tinyRate };

/** The tile with another label wherever `where` says so. */
function relabelled({ image, labels }: Tile, to: number, where: (label: number, x: number, y: number) => boolean): Tile {
  const data = labels.data.map((label, i) => (where(label, i % side, Math.floor(i / side)) ? to : label));
  return { image, labels: { data, shape: labels.shape } };
}

const plain = ellipses(3, 5);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-images-"));
  const background = relabelled(plain, -1, (label) => label === 0);
  // Cell 1 is no cell any more: once background, once unknown.
  const without = relabelled(plain, 0, (label) => label === 1);
  const unknown = relabelled(plain, -1, (label) => label === 1);
  const nothing = relabelled(plain, -1, () => true);
  store = await storeOf([plain, background, without, unknown, nothing], join(folder, "tiles.store"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function losses(stage: 1 | 2, tile: number, options = {}) {
  await using session = await smallSession();
  await session.beginStage({ ...common, stage, ...options });
  const validated = (await session.validate({ store, indices: Int32Array.of(tile), batchSize: 1 })).losses;
  const trained = (await train(session, store, [tile])).losses;
  for (const [name, value] of Object.entries(validated)) expect(trained[name]).toBeCloseTo(value as number, 5);
  return validated as Record<string, number>;
}

describe("ignored regions", () => {
  test("stage 1: a query that lies in one costs nothing, the boxes of cells cost the same", async () => {
    const known = await losses(1, 0, { auxLoss: false });
    const unknown = await losses(1, 1, { auxLoss: false });
    expect(unknown.loss_bbox).toBe(known.loss_bbox);
    expect(unknown.loss_giou).toBe(known.loss_giou);
    expect(unknown.loss_ce).toBeLessThan(known.loss_ce as number);
    expect((await losses(1, 4)).total_loss).toBe(0); // nobody knows anything: nothing to learn
  });

  test("stage 2: pixels in one are left out of every loss, for the cells around it", async () => {
    const names = ["focal_loss", "dice_loss", "boundary_loss", "iou_loss"];
    const [background, unknown] = [await losses(2, 2, { iouLossWeight: 1 }), await losses(2, 3, { iouLossWeight: 1 })];
    const unfused = await losses(2, 3, { iouLossWeight: 1, fusedMaskLoss: false });
    for (const name of names) {
      expect(unfused[name]).toBeCloseTo(unknown[name] as number, 5);
      expect(Number.isFinite(unknown[name])).toBe(true);
      expect(unknown[name]).not.toBe(background[name]);
      // One cell of five is a small part of the pixels.
      expect(unknown[name]).toBeCloseTo(background[name] as number, 0);
    }
  });

  test("are no instances, and other negative labels are refused", async () => {
    await using writer = await openStoreWriter({ path: join(folder, "other.store"), tileSize: side, normalize: false });
    const unknown = relabelled(plain, -1, (label) => label === 1);
    expect(await writer.add({ ...unknown, source: "a" })).toMatchObject({ instances: 4 });
    const wrong = relabelled(plain, -2, (label) => label === 1);
    await expect(writer.add({ ...wrong, source: "b" })).rejects.toMatchObject({
      code: "ERR_INVALID_LABELS",
      message: expect.stringContaining("-1 (ignore)"),
    });
  });
});

describe("complex augmentation", () => {
  test.each([1, 2] as const)("stage %i: acts besides the simple one, and the same each time", async (stage) => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage });
    const total = async (epoch: number, complexAugmentation: boolean) => {
      const report = await train(session, store, [0, 3], { epoch, augment: true, complexAugmentation });
      return report.losses.total_loss as number;
    };
    const differ = [];
    for (const epoch of [0, 1, 2]) {
      const complex = await total(epoch, true);
      expect(await total(epoch, true)).toBe(complex);
      differ.push(Math.abs(complex - (await total(epoch, false))) > 1e-4);
    }
    expect(differ).toContain(true);
  });

  test("D11: validation is never augmented", async () => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage: 1 });
    const validate = () => session.validate({ store, indices: Int32Array.of(0, 3), batchSize: 1 });
    const { losses: before } = await validate();
    await train(session, store, [0, 3], { augment: true, complexAugmentation: true });
    expect((await validate()).losses).toEqual(before);
  });

  test("needs the simple one", async () => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage: 1 });
    await expect(train(session, store, [0], { complexAugmentation: true })).rejects.toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
      message: expect.stringContaining("augment"),
    });
  });
});

describe("one preparation of pixels", () => {
  const options = { stainTransform: true, gamma: 2.4, normalize: false };
  const grey = { data: new Uint8Array(side * side), shape: [side, side] };

  test("D7: predict, promptIou and the store refuse the same image with the same words", async () => {
    await using session = await smallSession();
    await using writer = await openStoreWriter({ path: join(folder, "grey.store"), tileSize: side, ...options });
    const labels = { data: new Int32Array(side * side), shape: [side, side] };
    const ways = [
      () => session.predict({ image: grey, ...options }),
      () => session.promptIou({ image: grey, labels, ...options }),
      () => writer.add({ image: grey, source: "grey" }),
    ];
    for (const prepare of ways) {
      await expect(prepare()).rejects.toMatchObject({
        code: "ERR_INVALID_IMAGE",
        message: expect.stringContaining("stain_transform needs an RGB image"),
      });
    }
  });

  test("D67: stains and gamma reach the trained pixels", async () => {
    await using session = await smallSession();
    await session.beginStage({ ...common, stage: 1 });
    const totals = [];
    for (const settings of [{ normalize: false }, options, { ...options, gamma: 2.1 }, { ...options, inversion: true }]) {
      const path = join(folder, `${JSON.stringify(settings).replace(/\W+/g, "_")}.store`);
      await using writer = await openStoreWriter({ path, tileSize: side, ...settings });
      await writer.add({ ...plain, source: "a" });
      await writer.finish();
      const { losses } = await session.validate({ store: path, indices: Int32Array.of(0), batchSize: 1 });
      totals.push(losses.total_loss);
    }
    expect(new Set(totals).size).toBe(4);
  });

  test("a null channel is none", async () => {
    await using session = await smallSession();
    const named = { nuclearChannel: null, wholeCellChannel: null };
    await expect(session.predict({ image: grey, ...named })).resolves.toMatchObject({ count: 0 });
    await expect(session.predict({ image: grey, nuclearChannel: "red" })).rejects.toMatchObject({ code: "ERR_INVALID_IMAGE" });
  });
});
