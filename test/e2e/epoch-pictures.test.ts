import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { readJson } from "../../lib/files/json.js";
import { TRUTH } from "../../lib/report/canvas.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";

let folder: string;
let data: { imgPath: string; maskPath: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-pictures-"));
  data = await generateSynthetic({ directory: join(folder, "data"), images: 4, size: 80, seed: 5 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Trains `tiny` for three epochs a stage; returns the weights' hashes, losses and the pictures of epochs by name. */
async function trained(outputName: string, debug: boolean) {
  const stage = { totalEpochs: 3, learningRate: 1e-3, scheduler: "cosine", visualizationFrequency: 2 } as const;
  const { imgPath, maskPath } = data;
  const engine = { size: "tiny", device: "cpu", threads: 1, tileSize: 64, tensorboard: false } as const;
  const run = new ExperimentRunner({
    ...{ imgPath, maskPath, outputName, outputDir: join(folder, "out"), strategy: "train_val_split", valRatio: 0.25 },
    ...{ ...engine, stage1Config: stage, stage2Config: stage, augmentation: true, debug },
    // Low enough that an untrained detector finds something.
    inference: { bboxThreshold: 0.01, adaptiveThreshold: false, iouThreshold: 0 },
  });
  const [result] = await run.run();
  const root = join(folder, "out", outputName);
  const manifest = await readJson<{ files: Record<string, { sha256: string }> }>(join(root, "models/fold_1/manifest.json"));
  const shown = join(root, "results/fold_1/visualizations");
  const names = (await readdir(shown, { recursive: true })).filter((name) => /epoch_.*png$/.test(name)).sort();
  const files = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(shown, name))] as const)),
  );
  const { finalModelPath: _path, ...numbers } = result ?? {};
  return { weights: manifest.files, numbers, files };
}

it("a run that draws after its epochs ends in the same bits as one that does not", async () => {
  const quiet = await trained("quiet", false);
  const debug = await trained("debug", true);
  expect(Object.keys(quiet.files)).toEqual([]);
  expect(Object.keys(debug.files)).toEqual([
    "val/stage1_boxes/epoch_2_batch_0.png",
    "val/stage2_masks/epoch_2_batch_0_img_0.png",
  ]);
  expect(debug.weights).toEqual(quiet.weights);
  expect(debug.numbers).toEqual(quiet.numbers);
  const { data: pixels } = await sharp(debug.files["val/stage1_boxes/epoch_2_batch_0.png"])
    .raw()
    .toBuffer({ resolveWithObject: true });
  let green = 0;
  for (let i = 0; i < pixels.length; i += 3) if (TRUTH.every((value, c) => pixels[i + c] === value)) green++;
  expect(green).toBeGreaterThan(15 * 15); // more than the legend's square
});
