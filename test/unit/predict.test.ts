/** Prediction of folders with an engine that finds nothing: what is checked, refused and told around it. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { CellsamError } from "../../lib/errors.js";
import { evaluateWeights } from "../../lib/evaluation/folders.js";
import { type PredictFolderOptions, predictFolder } from "../../lib/predict/folder.js";
import { FakeEngine } from "./runner-fake.js";

let folder: string;
let data: { imgPath: string; maskPath: string };
let weights: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-predict-"));
  data = await generateSynthetic({ directory: join(folder, "data"), images: 3, size: 64, seed: 1 });
  weights = join(folder, "weights.pth");
  await writeFile(weights, JSON.stringify({ weight: 1 }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function predict(engine: FakeEngine, images: string, options: PredictFolderOptions) {
  return predictFolder(images, { weights, device: "cpu" }, { openSession: engine.openSession, ...options });
}

describe("predictFolder", () => {
  it("writes a label image each and the scores, and replaces neither unasked", async () => {
    const outputDir = join(folder, "labels");
    await predict(new FakeEngine(), data.imgPath, { outputDir });
    expect((await readdir(outputDir)).sort()).toEqual(["scores.json", ...[0, 1, 2].map((i) => `synthetic_00${i}.tif`)]);
    await expect(predict(new FakeEngine(), data.imgPath, { outputDir })).rejects.toMatchObject({ code: "ERR_OUTPUT_EXISTS" });
    // Another format leaves the label images alone, but not the scores.
    await expect(predict(new FakeEngine(), data.imgPath, { outputDir, format: "npy" })).rejects.toMatchObject({
      code: "ERR_OUTPUT_EXISTS",
      detail: { taken: [join(outputDir, "scores.json")] },
    });
    await predict(new FakeEngine(), data.imgPath, { outputDir, overwrite: true });
  });

  it("never writes over its own images", async () => {
    const image = join(data.imgPath, "synthetic_000.png");
    const before = await readFile(image);
    const options = { outputDir: join(data.imgPath, "..", "images"), format: "png" as const, overwrite: true };
    await expect(predict(new FakeEngine(), data.imgPath, options)).rejects.toMatchObject({ code: "ERR_CONFIG" });
    expect(await readFile(image)).toEqual(before);
  });

  it("D79: reads all images before it predicts one", async () => {
    const broken = await generateSynthetic({ directory: join(folder, "broken"), images: 2, size: 64, seed: 1 });
    await writeFile(join(broken.imgPath, "synthetic_001.png"), "no picture");
    const outputDir = join(folder, "none");
    const engine = new FakeEngine();
    await expect(predict(engine, broken.imgPath, { outputDir })).rejects.toMatchObject({ code: "ERR_DATASET" });
    expect(engine.calls).toEqual([]);
    expect(existsSync(outputDir)).toBe(false);
  });

  it("says for which size weights did not fit, with all that the engine said", async () => {
    const engine = new FakeEngine();
    const openSession = async (...options: Parameters<typeof engine.openSession>) => {
      const session = await engine.openSession(...options);
      session.load = () => Promise.reject(new CellsamError("ERR_CHECKPOINT_MISMATCH", "7 missing", { detail: { missing: 7 } }));
      return session;
    };
    const options = { outputDir: join(folder, "misfit"), openSession };
    await expect(predictFolder(data.imgPath, { weights, device: "cpu", size: "vit_l" }, options)).rejects.toMatchObject({
      code: "ERR_CHECKPOINT_MISMATCH",
      message: expect.stringMatching(/weights\.pth: 7 missing\. The model was of size vit_l, generation plain;/),
      detail: { missing: 7 },
    });
    expect(engine.openSessions).toBe(0);
  });

  it("passes the weights' warnings on, and refuses weights without a detector", async () => {
    const engine = new FakeEngine();
    engine.loadReport = { warnings: ["extra was left out"], missing: ["model.mask_decoder.x"] };
    const told: string[] = [];
    const onWarning = (message: string) => told.push(message);
    await predict(engine, data.imgPath, { outputDir: join(folder, "warned"), onWarning });
    expect(told).toEqual([`weights ${weights}: extra was left out`]);
    engine.loadReport = { missing: ["model.x", "cellfinder.class_embed"] };
    const mismatch = { code: "ERR_CHECKPOINT_MISMATCH", message: expect.stringContaining("train stage 1 first") };
    await expect(predict(engine, data.imgPath, { outputDir: join(folder, "random") })).rejects.toMatchObject(mismatch);
    const { openSession } = engine;
    await expect(
      evaluateWeights(data.imgPath, data.maskPath, { weights, device: "cpu" }, { openSession }),
    ).rejects.toMatchObject(mismatch);
    expect(engine.openSessions).toBe(0);
    expect(existsSync(join(folder, "random"))).toBe(false);
  });
});
