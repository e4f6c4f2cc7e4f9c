// The experiment that studio makes of corrected images: what it trains, and which images it trains on and holds out.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ExperimentConfig, type ExperimentInput } from "../../lib/config/experiment.js";
import { readConfigFile } from "../../lib/config/load.js";
import { writeLabels, writeRgbPng } from "../../lib/data/write.js";
import { readJson } from "../../lib/files/json.js";
import type { TrainBody } from "../../lib/studio/api.js";
import { StudioFolder } from "../../lib/studio/folder.js";
import type { StudioImage } from "../../lib/studio/imageList.js";
import { planTraining } from "../../lib/studio/trainingData.js";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-training-data-"));
});
afterEach(() => rm(root, { recursive: true }));

/** Corrects so many images, and reads the configuration that is made of them. */
async function planned(count: number, body: TrainBody = {}) {
  const folder = await StudioFolder.open(join(root, `${count}-studio`));
  const images: StudioImage[] = [];
  for (let id = 1; id <= count; id++) {
    const [name, file] = [`image${id}`, `image${id}.png`];
    const path = join(root, file);
    await writeRgbPng(path, new Uint8Array(16 * 16 * 3).fill(id), 16, 16);
    await writeLabels(folder.labels(name).correction, { data: new Int32Array(16 * 16).fill(1), shape: [16, 16] });
    await folder.decideSide(name);
    images.push({ id, name, file, path, mask: null } as StudioImage);
  }
  const { config, name, epochs } = await planTraining(
    { folder, images, settings: { weights: "cellsam-tiny" }, threads: 1 },
    body,
  );
  const data = folder.trainingData(name);
  const splits = await readJson<{ train: string[]; val: string[] }>(join(data, "splits.json"));
  return { read: new ExperimentConfig((await readConfigFile(config)) as unknown as ExperimentInput), splits, epochs, data };
}

test("with few images it trains gently and to the end, and of the mask model the neck alone", async () => {
  const { read, splits, epochs, data } = await planned(5);
  expect(read.stage1Config).toMatchObject({ stage1Type: "cellfinder", optimizer: "adamw", denseLossWeight: 0 });
  expect(read.stage1Config).toMatchObject({ learningRate: 1e-4, modelEpoch: "last" });
  expect(read.stage1Config.patience).toBeGreaterThanOrEqual(read.stage1Config.totalEpochs); // no early end
  expect(read.stage2Config).toMatchObject({ trainNeckOnly: true, freezeMaskDecoder: true, modelEpoch: "last" });
  expect([read.stages, epochs, read.evaluateEvery]).toEqual([[1, 2], 50, 3]);
  expect(read).toMatchObject({ weights: "cellsam-tiny", size: "tiny", tileSize: 128, preeval: true, threads: 1 });
  expect([...splits.train, ...splits.val].sort()).toEqual(["image1", "image2", "image3", "image4", "image5"]);
  expect(splits.val).toContain("image2");
  expect((await readdir(join(data, "masks"))).sort()).toEqual([1, 2, 3, 4, 5].map((i) => `image${i}.tif`));
});

test("once ten images are held out, it takes the epoch that they are best after", async () => {
  const { read, splits } = await planned(60);
  expect(splits.val.length).toBeGreaterThanOrEqual(10);
  expect(read.stage1Config).toMatchObject({ learningRate: 1e-4, modelEpoch: "best" });
  expect(read.stage2Config).toMatchObject({ trainNeckOnly: true, modelEpoch: "best" });
});

test("epochs and stages are those that are asked for", async () => {
  const { read, epochs } = await planned(4, { stages: 1, epochs: 7 });
  expect([read.stages, read.stage1Config.totalEpochs, epochs]).toEqual([[1], 7, 7]);
});
