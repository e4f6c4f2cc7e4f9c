import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { trainConfig } from "../../lib/cli/train.js";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { readConfigFile, readPythonFiles } from "../../lib/config/load.js";

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/python/${name}`, import.meta.url));
const threeFiles = {
  stage1Config: fixture("stage1.yaml"),
  stage2Config: fixture("stage2.yaml"),
  datasetConfig: fixture("dataset.yaml"),
};
const scratch = () => mkdtemp(join(tmpdir(), "cellsam-python-"));

describe("the Python project's three files", () => {
  test("D63, D66: become one configuration, each key with its effect", async () => {
    const notices: string[] = [];
    const raw = await readPythonFiles(threeFiles, (message) => notices.push(message));
    const config = new ExperimentConfig(raw as never);
    expect(config).toMatchObject({
      imgPath: "slides/images",
      maskPath: "slides/masks",
      outputName: "from_python",
      outputDir: "../output",
      strategy: "k_fold",
      batchSize: 2,
      seed: 7,
      augmentation: true,
      stainTransform: true,
      gamma: 2.1,
      normalize: false,
      device: "cpu",
    });
    expect(config.stage1Config).toMatchObject({
      stage1Type: "cellfinder",
      totalEpochs: 40,
      learningRate: 1e-5,
      scheduler: "plateau",
      gradClip: 0,
      backboneLrRatio: 0.1,
    });
    expect(config.stage2Config).toMatchObject({
      totalEpochs: 50,
      scheduler: "plateau",
      focalLossWeight: 100,
      useBoundaryLoss: false,
    });
    const told = notices.join("\n");
    for (const key of [
      "stage1_config.epochs is left out",
      "stage1_config.num_workers",
      "stage1_config.pin_memory",
      "stage2_config.scheduler is left out: use_scheduler decides",
      "focal_loss_weight acted squared in Python",
      "dataset_config.normalize_inf",
      "dataset_config.data_root",
      "dataset_config.val_split is left out",
      "dataset_config.batch_size is 1, but batch_size is 2, which is used",
      "dataset_config.image_extensions",
    ])
      expect(told).toContain(key);
    // What asks for nothing is not worth a word.
    expect(told).not.toContain("target_size");
    expect(told).not.toContain("num_classes");
  });

  test("are taken by the command, under flags and settings", async () => {
    const config = await trainConfig({ ...threeFiles, name: "other", set: ["stage2_config.patience=3"] });
    expect(new ExperimentConfig(config)).toMatchObject({ outputName: "other", stage2Config: { patience: 3, totalEpochs: 50 } });
  });

  test("refuse what would silently mean something else", async () => {
    const folder = await scratch();
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    };
    await expect(readPythonFiles({ stage1Config: await file("a.yaml", "num_classes: 3") })).rejects.toThrow(/must be 2/);
    await expect(readPythonFiles({ datasetConfig: await file("b.yaml", "gama: 2") })).rejects.toThrow(
      /dataset_config.gama: unknown key/,
    );
    const raw = await readPythonFiles({ stage2Config: await file("c.yaml", "epochs_s2: 3\nbanana: 1") });
    expect(() => new ExperimentConfig({ imgPath: "i", maskPath: "m", outputName: "o", ...raw } as never)).toThrow(
      /stage2Config.banana: unknown key/,
    );
  });
});

describe("the Python project's experiment_config.json", () => {
  test("D71: loads, with the data set's group flat and what had no effect left out", async () => {
    const notices: string[] = [];
    const config = new ExperimentConfig(
      (await readConfigFile(fixture("experiment_config.json"), (m) => notices.push(m))) as never,
    );
    expect(config).toMatchObject({
      strategy: "k_fold",
      kFolds: 4,
      batchSize: 1,
      preeval: true,
      debug: false,
      augmentation: false,
    });
    expect(config.stage1Config).toMatchObject({ stage1Type: "all_backbones", totalEpochs: 100 });
    expect(config.stage2Config).toMatchObject({ totalEpochs: 60, scheduler: "none" });
    const told = notices.join("\n");
    expect(told).toContain('stage1_config.training_strategy is "train_val_split", but strategy is "k_fold", which is used');
    expect(told).toContain("without stain_transform they have no effect");
    expect(told).toContain("complex_augmentation is left out");
  });

  test("D50: additional data sets are used with their switch, and left out aloud without it", async () => {
    const path = join(await scratch(), "experiment_config.json");
    const content = JSON.parse(await readFile(fixture("experiment_config.json"), "utf8"));
    content.additional_datasets = [{ img_path: "x", mask_path: "y" }];
    const read = async (multiple: boolean) => {
      const notices: string[] = [];
      await writeFile(path, JSON.stringify({ ...content, multiple_datasets: multiple }));
      const config = new ExperimentConfig((await readConfigFile(path, (message) => notices.push(message))) as never);
      return { more: config.additionalDatasets, told: notices.join("\n") };
    };
    expect((await read(true)).more).toEqual([{ imgPath: "x", maskPath: "y" }]);
    const without = await read(false);
    expect(without.more).toEqual([]);
    expect(without.told).toContain("additional_datasets is left out: multiple_datasets is false");
  });
});

describe("text files of other systems", () => {
  const text = "img_path: bilder/grün\nmask_path: m\noutput_name: run\n";
  test.each([
    ["UTF-16 little endian", Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, "utf16le")])],
    ["UTF-16 big endian", Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(text, "utf16le").swap16()])],
    ["UTF-8 with a mark", Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)])],
    ["UTF-8", Buffer.from(text.replaceAll("\n", "\r\n"))],
  ])("D92: %s is read", async (_name, bytes) => {
    const path = join(await scratch(), "c.yaml");
    await writeFile(path, bytes);
    expect(await readConfigFile(path)).toEqual({ imgPath: "bilder/grün", maskPath: "m", outputName: "run" });
  });

  test("D92: bytes that are no text are refused", async () => {
    const path = join(await scratch(), "c.yaml");
    await writeFile(path, Buffer.from([0x61, 0x3a, 0xe9, 0x0a]));
    await expect(readConfigFile(path)).rejects.toThrow(/neither UTF-8 nor UTF-16/);
  });
});
