/** The weights that come with the package: their file, the settings that come along, and what is refused. */
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExperimentConfig, type ExperimentInput } from "../../lib/config/experiment.js";
import { predictConfig } from "../../lib/config/inference.js";
import { shippedNames, weightsFile } from "../../lib/config/shippedWeights.js";
import { decodeImage } from "../../lib/data/decode.js";
import { openSession } from "../../lib/engine/session.js";
import { CellsamError } from "../../lib/errors.js";
import { evaluateWeights } from "../../lib/evaluation/folders.js";
import { openPredictor } from "../../lib/predict/predictor.js";
import { finetuneConfig } from "../../lib/python/finetuneKeywords.js";
import { weightsProblems } from "../../scripts/weightsCheck.mjs";
import { isPretend, longTest, testDevice } from "../device.js";
import { copyNuclei, cropNuclei, nuclei, nucleiNames } from "../nuclei.js";

const weights = "cellsam-tiny";
const required = { imgPath: "i", maskPath: "m", outputName: "run" };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-shipped-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the settings that come with weights", () => {
  it("are defaults of a training", () => {
    const config = new ExperimentConfig({ ...required, weights });
    expect(config).toMatchObject({ weights, size: "tiny", tileSize: 128, normalize: true, greyChannel: "all" });
    expect(config.inference.nmsIou).toBe(0.5);
    // What belongs to nobody's training keeps its own default.
    expect(config.inference.minArea).toBe(new ExperimentConfig(required).inference.minArea);
  });

  it("are defaults of a prediction, whose tiles are those of the training", () => {
    expect(predictConfig({ weights })).toMatchObject({
      size: "tiny",
      greyChannel: "all",
      inference: { tileSize: 128, nmsIou: 0.5 },
    });
  });

  it("give way to what is set, in either spelling", () => {
    const given = {
      img_path: "i",
      mask_path: "m",
      output_name: "run",
      weights,
      tile_size: 64,
      inference: { min_area: 3, nms_iou: 0.9 },
    };
    const config = new ExperimentConfig(given as unknown as ExperimentInput);
    expect([config.tileSize, config.inference.minArea, config.inference.nmsIou, config.size]).toEqual([64, 3, 0.9, "tiny"]);
    expect(predictConfig({ weights, inference: { tileSize: 0 } }).inference).toMatchObject({ tileSize: 0, nmsIou: 0.5 });
  });

  it("come with the Python module's keywords too, and are the same after a file", () => {
    const config = new ExperimentConfig(finetuneConfig("i", "m", "run", { weights, total_epochs_s1: 2 }));
    expect(config).toMatchObject({ size: "tiny", tileSize: 128 });
    expect(new ExperimentConfig(config.toDict() as unknown as ExperimentInput)).toEqual(config);
  });

  it("do not come with a path, be it of that name", () => {
    for (const path of ["./cellsam-tiny", "models/cellsam-tiny.safetensors"]) {
      expect(new ExperimentConfig({ ...required, weights: path })).toMatchObject({ size: "vit_b", tileSize: 512 });
      expect(weightsFile(path)).toBe(path);
    }
  });
});

function thrown(make: () => unknown): unknown {
  try {
    return make();
  } catch (error) {
    return error;
  }
}

describe("a name that is nearly one of ours", () => {
  it("is refused with ours", () => {
    const message =
      "cellsam_tiny is not the name of weights in the package: did you mean cellsam-tiny? A file of that name is ./cellsam_tiny";
    const refused = { code: "ERR_CONFIG", detail: { problems: [{ key: "weights", message }] } };
    expect(thrown(() => new ExperimentConfig({ ...required, weights: "cellsam_tiny" }))).toMatchObject(refused);
    expect(thrown(() => predictConfig({ weights: "cellsam_tiny" }))).toMatchObject(refused);
  });

  it("is a file when it is written as one, and so is any other name", () => {
    for (const path of ["./cellsam_tiny", "cellsam_tiny.pth", "mine"]) {
      expect(new ExperimentConfig({ ...required, weights: path }).weights).toBe(path);
    }
  });
});

describe("another size", () => {
  const message = "is vit_b, but the weights cellsam-tiny are of size tiny: leave size out, or choose other weights";
  const refused = { code: "ERR_CONFIG", detail: { problems: [{ key: "size", message }] } };

  it("is refused", async () => {
    expect(thrown(() => new ExperimentConfig({ ...required, weights, size: "vit_b" }))).toMatchObject(refused);
    expect(thrown(() => predictConfig({ weights, size: "vit_b" }))).toMatchObject(refused);
    await expect(openPredictor({ weights, size: "vit_b" })).rejects.toMatchObject(refused);
  });

  it("is refused when the weights change afterwards", () => {
    const config = new ExperimentConfig(required);
    expect(thrown(() => config.set("weights", weights))).toBeInstanceOf(CellsamError);
    expect(config.weights).toBeNull();
  });
});

describe.each(shippedNames)("%s", (name) => {
  const file = weightsFile(name);

  it("is a sound file of at most 6 MB", () => {
    expect(weightsProblems(file)).toEqual([]);
  });

  it("fills its network completely", async () => {
    const session = await openSession({ size: new ExperimentConfig({ ...required, weights: name }).size, device: testDevice });
    try {
      const { missing, unexpected, mismatched, warnings } = await session.load(file);
      expect({ missing, unexpected, mismatched, warnings }).toEqual({
        missing: [],
        unexpected: [],
        mismatched: [],
        warnings: [],
      });
      // Half the bytes lose nothing more when they are saved once more.
      const before = await session.digest();
      await session.save(join(folder, "again.safetensors"), { format: "safetensors", dtype: "fp16" });
      await session.load(join(folder, "again.safetensors"));
      expect(await session.digest()).toEqual(before);
    } finally {
      await session.dispose();
    }
  });
});

describe("cellsam-tiny", () => {
  longTest("finds nuclei that it was not trained on, without any training", async () => {
    // A tile of a third of them where a GPU is only pretended.
    const own = join(folder, "nuclei");
    const some = nucleiNames.slice(0, 6);
    const { imgPath, maskPath } = await (isPretend ? cropNuclei(own, some) : copyNuclei(own, nucleiNames));
    const { summary } = await evaluateWeights(imgPath, maskPath, { weights, device: testDevice });
    expect(summary.f1).toBeGreaterThan(0.5);
    expect(summary.meanPromptIou).toBeGreaterThan(0.6);
  });

  longTest("stays open for images from memory", async () => {
    await using predictor = await openPredictor({ weights, device: testDevice });
    const { data, shape } = await decodeImage(join(nuclei, "images", "dsb_2f929b067a59.png"));
    const found = await predictor.predict({ data, shape } as Parameters<typeof predictor.predict>[0]);
    expect(found.labels.shape).toEqual(shape.slice(0, 2));
    expect(found.count).toBeGreaterThan(20);
  });
});

describe("the release check of weights", () => {
  /** A safetensors file of zeros with this header. */
  async function written(header: object, bytes: number): Promise<string> {
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const path = join(folder, "crafted.safetensors");
    await writeFile(path, Buffer.concat([length, text, Buffer.alloc(bytes)]));
    return path;
  }
  const tensors = (dtype: string) =>
    Object.fromEntries(
      ["model.image_encoder.a", "model.prompt_encoder.a", "model.mask_decoder.a", "cellfinder.a"].map((name, i) => [
        name,
        { dtype, shape: [1], data_offsets: [2 * i, 2 * i + 2] },
      ]),
    );
  const sum = { __metadata__: { "cellsam.sha256": "0" } };

  it("takes what it should", async () => {
    expect(weightsProblems(await written({ ...sum, ...tensors("F16") }, 8))).toEqual([]);
  });

  it.each([
    ["other numbers", { ...sum, ...tensors("BF16") }, 8, /BF16/],
    [
      "a strange tensor",
      { ...sum, ...tensors("F16"), optimizer: { dtype: "F16", shape: [0], data_offsets: [8, 8] } },
      8,
      /optimizer/,
    ],
    ["a missing part", { ...sum, ...tensors("F16"), "cellfinder.a": undefined }, 6, /cellfinder/],
    ["a file of somebody else", tensors("F16"), 8, /checksum/],
    ["a file that was cut off", { ...sum, ...tensors("F16") }, 7, /7 bytes/],
  ])("refuses %s", async (_what, header, bytes, told) => {
    expect(weightsProblems(await written(header, bytes)).join()).toMatch(told);
  });

  it("refuses too many bytes, no file, and no safetensors", async () => {
    const large = await written({ ...sum, ...tensors("F16") }, 8);
    await truncate(large, 6e6 + 1);
    expect(weightsProblems(large).join()).toMatch(/6\.0 MB, more than 6/);
    expect(weightsProblems(join(folder, "nothing"))).toEqual(["is missing"]);
    await writeFile(large, (await readFile(weightsFile(weights))).subarray(1));
    expect(weightsProblems(large).join()).toMatch(/no safetensors/);
  });
});
