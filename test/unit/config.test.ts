import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { applySettings } from "../../lib/config/applySettings.js";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { predictOptions } from "../../lib/config/inference.js";
import { mergeConfig, readConfigFile } from "../../lib/config/load.js";
import { Stage1Config } from "../../lib/config/stage1.js";
import { Stage2Config } from "../../lib/config/stage2.js";
import { stageOptions } from "../../lib/config/stageOptions.js";
import { engineCall } from "../../lib/engine/native.js";
import { openSession } from "../../lib/engine/session.js";
import { editDistance, nearest } from "../../lib/nearest.js";
import { finetuneConfig } from "../../lib/python/finetuneKeywords.js";
import { fromSnake, snakeCase, toSnake } from "../../lib/spelling.js";
import { tileSettings } from "../../lib/train/tiles.js";
import { testDevice } from "../device.js";
import { problems } from "./config-problems.js";

const required = { imgPath: "i", maskPath: "m", outputName: "run" };

describe("defaults", () => {
  it("are those of the Python module for stage 1", () => {
    expect(new Stage1Config()).toMatchObject({
      stage1Type: "cellfinder",
      totalEpochs: 500,
      learningRate: 1e-4,
      patience: 15,
      ceLossWeight: 1,
      bboxLossWeight: 5,
      giouLossWeight: 2,
    });
  });

  it("are those of the Python module for stage 2", () => {
    expect(new Stage2Config()).toMatchObject({
      totalEpochs: 500,
      learningRate: 1e-4,
      patience: 15,
      focalLossWeight: 1,
      focalGamma: 2,
      diceLossWeight: 1,
      boundaryLossWeight: 1,
      onlineHardNegativeMining: false,
      onlineHardNegativeMiningWeighted: false,
    });
  });

  it("are those of the Python module for the experiment", () => {
    const config = new ExperimentConfig(required);
    expect(config).toMatchObject({
      batchSize: 1,
      debug: false,
      preeval: false,
      augmentation: false,
      valRatio: 0.3,
      splitSeed: 23,
      seed: 42,
    });
    expect(config).toMatchObject({ tileSize: 512, tileOverlap: 0.25, size: "vit_b", weights: null, stages: [1, 2] });
    expect(config.stage1Config).toEqual({ ...new Stage1Config() });
  });

  it("says what to write for yes, no, on and off, which are text in YAML", () => {
    for (const [text, meant] of [
      ["yes", "true"],
      ["No", "false"],
      ["on", "true"],
      ["OFF", "false"],
      ["true", "true"],
    ])
      for (const key of ["binaryMasks", "augmentation"])
        expect(() => new ExperimentConfig({ ...required, [key]: text } as never)).toThrow(
          `${key}: must be true or false: ${text} is text, write ${meant}`,
        );
    expect(() => new ExperimentConfig({ ...required, binaryMasks: "maybe" } as never)).toThrow(/must be true or false$/m);
  });

  it("survive a trip through JSON", () => {
    const config = new ExperimentConfig({ ...required, stage1Config: new Stage1Config({ patience: 3 }) });
    expect({ ...new ExperimentConfig(JSON.parse(JSON.stringify(config))) }).toEqual({ ...config });
    expect({ ...new ExperimentConfig(toSnake(JSON.parse(JSON.stringify(config))) as never) }).toEqual({ ...config });
  });
});

describe("unknown keys", () => {
  it("are refused with the nearest known name, wherever they stand", () => {
    const found = problems(
      () =>
        new ExperimentConfig({
          ...required,
          batch_sise: 2,
          stage1Config: { learing_rate: 1 },
          inference: { bboxTreshold: 0.1 },
        } as never),
    );
    expect(found.map(({ key }) => key).sort()).toEqual(["batchSise", "inference.bboxTreshold", "stage1Config.learingRate"]);
    const message = (key: string) => found.find((problem) => problem.key === key)?.message;
    expect(message("batchSise")).toContain("did you mean batchSize (batch_size");
    expect(message("stage1Config.learingRate")).toContain("did you mean learningRate");
    expect(message("inference.bboxTreshold")).toContain("did you mean bboxThreshold");
  });

  it("are told where they belong when that is another group", () => {
    const message = (extra: object) => problems(() => new ExperimentConfig({ ...required, ...extra } as never))[0]?.message;
    expect(message({ totl_epochs: 3 })).toBe(
      "unknown key here; did you mean stage1_config.total_epochs or stage2_config.total_epochs?",
    );
    expect(message({ stage1Config: { batch_size: 2 } })).toBe("unknown key here; did you mean batch_size?");
    expect(message({ inference: { tile_sise: 64 } })).toContain("did you mean tileSize (tile_size");
    expect(message({ qqqqqqqq: 1 })).toContain("`cellsam schema` lists");
  });

  it("suggest by edit distance", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("", "abc")).toBe(3);
    expect(nearest("TotalEpoch", ["patience", "totalEpochs"])).toBe("totalEpochs");
    expect(nearest("zzzzzz", ["patience", "totalEpochs"])).toBeUndefined();
  });
});

describe("ranges", () => {
  it.each<[make: () => unknown, key: string, range: string]>([
    [() => new Stage1Config({ totalEpochs: 0 }), "totalEpochs", "an integer >= 1"],
    [() => new Stage1Config({ totalEpochs: 2.5 }), "totalEpochs", "an integer >= 1"],
    [() => new Stage1Config({ learningRate: -5 }), "learningRate", "a finite number > 0"],
    [() => new Stage1Config({ learningRate: Number.POSITIVE_INFINITY }), "learningRate", "a finite number > 0"],
    [() => new Stage1Config({ patience: -1 }), "patience", "an integer >= 0"],
    [() => new Stage1Config({ focalAlpha: 1.1 }), "focalAlpha", "a number from 0 to 1"],
    [() => new Stage1Config({ backboneLrRatio: 0 }), "backboneLrRatio", "a number > 0 and <= 1"],
    [() => new Stage1Config({ stage1Type: "cellfinders" as never }), "stage1Type", "did you mean cellfinder?"],
    [() => new Stage2Config({ onlineHardNegativeMining: true, ohemFraction: 0 }), "ohemFraction", "a number > 0 and <= 1"],
    [() => new Stage2Config({ diceSmooth: 0 }), "diceSmooth", "a finite number > 0"],
    [() => new Stage2Config({ maxPrompts: 0 }), "maxPrompts", "an integer >= 1"],
    [() => new ExperimentConfig({ ...required, valRatio: 1 }), "valRatio", "a number > 0 and < 1"],
    [() => new ExperimentConfig({ ...required, stages: [2, 1] }), "stages", "[1, 2]"],
    [() => new ExperimentConfig({ ...required, outputName: "a/b" }), "outputName", "without slashes"],
    [() => new ExperimentConfig({ ...required, outputName: ".." }), "outputName", "without slashes"],
    [() => new ExperimentConfig({ ...required, device: "gpu" }), "device", "auto, cpu, cuda or cuda:N"],
    [() => new ExperimentConfig({ ...required, debug: "yes" as never }), "debug", "true or false"],
    ...[1, 31, 8193, 40.5].map((tileSize): [() => unknown, string, string] => [
      () => new ExperimentConfig({ ...required, inference: { tileSize } }),
      "inference.tileSize",
      "0 or an integer from 32 to 8192",
    ]),
  ])("%#: name the key and the allowed range", (make, key, range) => {
    const found = problems(make);
    expect(found.map((problem) => problem.key)).toEqual([key]);
    expect(found[0]?.message).toContain(range);
  });

  it("are reported all at once, with what is missing", () => {
    const keys = problems(() => new ExperimentConfig({ batchSize: 0, seed: -1 } as never)).map(({ key }) => key);
    expect(keys.sort()).toEqual(["batchSize", "imgPath", "maskPath", "outputName", "seed"]);
    expect(problems(() => new ExperimentConfig())[0]).toEqual({
      key: "imgPath",
      message: "is missing (img_path in files), must be a path",
    });
  });
});

describe("contradictions", () => {
  it.each([
    [() => new Stage2Config({ freezeMaskDecoder: false }), "freezeMaskDecoder"],
    [() => new Stage2Config({ trainNeckOnly: false }), "trainNeckOnly"],
    [() => new Stage2Config({ onlineHardNegativeMiningWeighted: true }), "onlineHardNegativeMiningWeighted"],
    [() => new Stage2Config({ useBoundaryLoss: true, boundaryLossWeight: 0 }), "useBoundaryLoss"],
    [() => new Stage2Config({ focalLossWeight: 0, diceLossWeight: 0, useBoundaryLoss: false }), "focalLossWeight"],
    [() => new Stage2Config({ onlineHardNegativeMining: true, ohemHardWeightMin: 3 }), "ohemHardWeightMax"],
    [() => new Stage1Config({ ceLossWeight: 0, bboxLossWeight: 0, giouLossWeight: 0 }), "ceLossWeight"],
    [() => new Stage1Config({ transferWeights: true, stage1Type: "all_backbones" }), "transferWeights"],
    [
      () => new ExperimentConfig({ ...required, stages: [2], stage1Config: { transferWeights: true } }),
      "stage1Config.transferWeights",
    ],
    // Settings that nothing would read.
    [() => new Stage1Config({ stage1Type: "head_only", backboneLrRatio: 0.1 }), "backboneLrRatio"],
    [() => new Stage1Config({ stage1Type: "head_only", freezeBackbone: true }), "freezeBackbone"],
    [() => new Stage1Config({ freezeBackbone: true, backboneLrRatio: 0.1 }), "backboneLrRatio"],
    [() => new Stage2Config({ backboneLrRatio: 0.1 }), "backboneLrRatio"],
    [() => new Stage2Config({ trainNeckOnly: false, freezeMaskDecoder: false, backboneLrRatio: 0.1 }), "backboneLrRatio"],
    [() => new Stage1Config({ stage1Type: "head_only", loraRank: 4 }), "loraRank"],
    [() => new Stage1Config({ freezeBackbone: true, loraRank: 4 }), "loraRank"],
    [() => new Stage2Config({ loraRank: 4 }), "loraRank"],
    [() => new Stage2Config({ trainNeckOnly: false, freezeMaskDecoder: false, loraRank: 4 }), "loraRank"],
    [() => new Stage1Config({ loraAlpha: 8 }), "loraAlpha"],
    [() => new Stage1Config({ loraLayers: "mlp" }), "loraLayers"],
    [() => new Stage2Config({ ohemFraction: 0.2 }), "ohemFraction"],
    [() => new Stage2Config({ ohemHardWeight: 3 }), "ohemHardWeight"],
    [() => new Stage2Config({ ohemHardWeightMin: 1.5 }), "ohemHardWeightMin"],
    [() => new Stage2Config({ ohemHardWeightMax: 3 }), "ohemHardWeightMax"],
    [() => new ExperimentConfig({ ...required, splits: "s.json", valRatio: 0.2 }), "valRatio"],
    [() => new ExperimentConfig({ ...required, splits: "s.json", splitSeed: 1 }), "splitSeed"],
  ])("%#: are errors at the key", (make, key) => {
    expect(problems(make).map((problem) => problem.key)).toEqual([key]);
  });

  it("leave combinations alone that make sense", () => {
    expect(() => new Stage2Config({ trainNeckOnly: false, freezeMaskDecoder: false })).not.toThrow();
    expect(() => new Stage2Config({ onlineHardNegativeMining: true, onlineHardNegativeMiningWeighted: true })).not.toThrow();
    expect(() => new Stage2Config({ onlineHardNegativeMining: true, ohemFraction: 0.2, ohemHardWeight: 3 })).not.toThrow();
    expect(() => new Stage1Config({ backboneLrRatio: 0.1 })).not.toThrow();
    expect(() => new Stage2Config({ trainNeckOnly: false, freezeImageEncoder: false, backboneLrRatio: 0.1 })).not.toThrow();
    expect(() => new Stage1Config({ loraRank: 4, loraAlpha: 8, loraLayers: "all" })).not.toThrow();
    expect(() => new Stage2Config({ trainNeckOnly: false, freezeImageEncoder: false, loraRank: 4 })).not.toThrow();
    expect(() => new ExperimentConfig({ ...required, splits: "s.json" })).not.toThrow();
    expect(() => new ExperimentConfig({ ...required, valRatio: 0.2, splitSeed: 1 })).not.toThrow();
  });
});

describe("Python's spelling", () => {
  it("is accepted at every depth", () => {
    const config = new ExperimentConfig({
      img_path: "i",
      mask_path: "m",
      output_name: "run",
      random_seed: 7,
      stage1_config: { total_epochs: 3, giou_loss_weight: 4 },
      stage2_config: { use_scheduler: true },
      size_overrides: { image_size: 128 },
    } as never);
    expect(config.seed).toBe(7);
    expect(config.stage1Config).toMatchObject({ totalEpochs: 3, giouLossWeight: 4 });
    expect(config.stage2Config.scheduler).toBe("plateau");
    expect(config.sizeOverrides).toEqual({ image_size: 128 });
  });

  it("may not be mixed with ours for one key", () => {
    expect(() => fromSnake({ batch_size: 1, batchSize: 2 })).toThrow(/given twice/);
  });

  it("maps every key there and back", () => {
    const config = JSON.parse(JSON.stringify(new ExperimentConfig(required)));
    expect(fromSnake(toSnake(config))).toEqual(config);
  });
});

describe("files and settings", () => {
  it("may say true and false where on and off are choices", () => {
    const graphs = (cuda_graphs: unknown) => new Stage2Config({ cuda_graphs } as never).cudaGraphs;
    expect([graphs(true), graphs(false), graphs("on"), graphs(undefined)]).toEqual(["on", "off", "on", "auto"]);
    expect(() => graphs(1)).toThrow("must be one of auto, on, off");
  });

  it("read YAML and JSON, and set dotted keys in either spelling", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cellsam-config-"));
    await writeFile(join(folder, "c.yaml"), "img_path: i\nmask_path: m\noutput_name: run\nstage1_config:\n  total_epochs: 4\n");
    await writeFile(
      join(folder, "c.json"),
      '{"imgPath": "i", "maskPath": "m", "output_name": "run", "stage1Config": {"totalEpochs": 4}}',
    );
    const yaml = await readConfigFile(join(folder, "c.yaml"));
    expect(yaml).toEqual(await readConfigFile(join(folder, "c.json")));
    applySettings(yaml, [
      "stage1_config.learning_rate=1e-3",
      "stage2Config.maxPrompts=6",
      "stages=[1]",
      "weights=null",
      "name=a=b",
    ]);
    expect(yaml).toMatchObject({
      stage1Config: { totalEpochs: 4, learningRate: 0.001 },
      stage2Config: { maxPrompts: 6 },
      stages: [1],
    });
    expect(yaml).toMatchObject({ weights: null, name: "a=b" });
  });

  it("take the Python module's scheduler switch from a setting as from a file", () => {
    const config = { stage2Config: { scheduler: "cosine" } };
    applySettings(config, ["stage1_config.use_scheduler=false", "stage2_config.use_scheduler=true"]);
    expect(config).toEqual({ stage1Config: { scheduler: "none" }, stage2Config: { scheduler: "plateau" } });
  });

  it("read the experiment_config.json of a run back as the same configuration", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "cellsam-config-")), "experiment_config.json");
    const config = new ExperimentConfig({
      ...required,
      splits: "s.json",
      sizeOverrides: { image_size: 128 },
      stage1Config: { freezeBackbone: true },
      stage2Config: { scheduler: "plateau", onlineHardNegativeMining: true, ohemFraction: 0.2, maxPrompts: 5 },
      inference: { tileSize: 64, minArea: 9 },
    });
    await writeFile(file, JSON.stringify(toSnake({ ...config, environment: { packageVersion: "1", deviceUsed: "cpu" } })));
    expect({ ...new ExperimentConfig((await readConfigFile(file)) as never) }).toEqual({ ...config });
  });

  it("merge group by group, with size overrides and lists as one value", () => {
    const base = { seed: 1, inference: { minArea: 9, nmsIou: 0.5 }, sizeOverrides: { depth: 3 }, stages: [1, 2] };
    const over = { seed: 2, inference: { minArea: 4 }, sizeOverrides: { width: 8 }, stages: [2], weights: null };
    expect(mergeConfig(base, over)).toEqual({
      seed: 2,
      inference: { minArea: 4, nmsIou: 0.5 },
      sizeOverrides: { width: 8 },
      stages: [2],
      weights: null,
    });
    expect(base.inference.minArea).toBe(9);
  });

  it("say what is wrong with a file or a setting", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cellsam-config-"));
    await writeFile(join(folder, "bad.json"), "{");
    await writeFile(join(folder, "list.yaml"), "- 1\n");
    await expect(readConfigFile(join(folder, "none.yaml"))).rejects.toMatchObject({ code: "ERR_CONFIG" });
    await expect(readConfigFile(join(folder, "bad.json"))).rejects.toThrow(/does not parse/);
    await expect(readConfigFile(join(folder, "list.yaml"))).rejects.toThrow(/keys and values/);
    expect(() => applySettings({}, ["batch_size"])).toThrow(/key=value/);
    expect(() => applySettings({ seed: 1 }, ["seed.a=1"])).toThrow(/not a group/);
  });
});

describe("stageOptions", () => {
  it.each([1, 2] as const)("D57: of stage %i name exactly what the engine reads", async (stage) => {
    await using session = await openSession({ size: "tiny", device: testDevice, threads: 1 });
    const given = stageOptions(new ExperimentConfig(required), stage, 10);
    const { options } = await session.beginStage(given);
    expect(Object.keys(given).map(snakeCase).sort()).toEqual(options);
  });

  it("pass unset choices on", () => {
    const options = (stage2Config: object) => stageOptions(new ExperimentConfig({ ...required, stage2Config }), 2, 10);
    expect(options({})).toMatchObject({ stage: 2, epochs: 500, stepsPerEpoch: 10, useBoundaryLoss: null, maxPrompts: null });
    expect(options({ useBoundaryLoss: false })).toMatchObject({ useBoundaryLoss: false, boundaryLossWeight: 1 });
  });

  it("let prediction use the training tile unless told otherwise", () => {
    const { inference, ...config } = new ExperimentConfig(required);
    expect(predictOptions({ ...config, inference }, 512).tileSize).toBe(512);
    expect(predictOptions({ ...config, inference: { ...inference, tileSize: 0 } }, 512).tileSize).toBe(0);
    expect(predictOptions({ ...config, inference }).tileSize).toBe(0);
  });

  it("of prediction and of the store of tiles name exactly what the engine reads", () => {
    const config = new ExperimentConfig(required);
    const { predict, store_writer } = engineCall<Record<"predict" | "store_writer", string[]>>("options");
    expect(Object.keys(predictOptions(config)).map(snakeCase).sort()).toEqual(predict);
    expect(Object.keys(tileSettings(config)).map(snakeCase).sort()).toEqual(store_writer);
  });
});

describe("finetune", () => {
  const make = (options: Record<string, unknown>) => new ExperimentConfig(finetuneConfig("i", "m", "run", options));

  it("understands the README's calls", () => {
    const quick = make({ strategy: "train_val_split", total_epochs_s1: 5, total_epochs_s2: 6, debug: true });
    expect(quick).toMatchObject({ imgPath: "i", maskPath: "m", outputName: "run", strategy: "train_val_split", debug: true });
    expect([quick.stage1Config.totalEpochs, quick.stage2Config.totalEpochs]).toEqual([5, 6]);
    const named = make({
      stage1: "all_backbones",
      lrStage1: 1e-3,
      lr_stage2: 1e-5,
      ce_loss_weight: 3,
      focal_gamma: 3,
      batch_size: 2,
    });
    expect(named.stage1Config).toMatchObject({ stage1Type: "all_backbones", learningRate: 1e-3, ceLossWeight: 3 });
    expect(named.stage2Config).toMatchObject({ learningRate: 1e-5, focalGamma: 3 });
    expect(named.batchSize).toBe(2);
  });

  it("merges whole stage configurations with keywords", () => {
    expect(make({ stage1_config: { patience: 2 }, total_epochs_s1: 5 }).stage1Config).toMatchObject({
      patience: 2,
      totalEpochs: 5,
    });
    expect(problems(() => make({ stage1_config: { total_epochs: 2 }, total_epochs_s1: 5 }))[0]?.message).toContain(
      "given twice",
    );
  });

  it("D15: takes an explicit strategy before the flags, and flags only when they agree", () => {
    expect(make({ train_val_training: true, k_fold_training: false }).strategy).toBe("train_val_split");
    expect(make({ strategy: "train_val_split", k_fold_training: true, use_full_dataset: true }).strategy).toBe(
      "train_val_split",
    );
    expect(problems(() => make({ train_val_training: true, k_fold_training: true }))[0]?.message).toContain("contradict");
    expect(make({ k_fold_training: true }).strategy).toBe("k_fold");
    expect(make({ use_full_dataset: true }).strategy).toBe("full_dataset");
    expect(make({}).strategy).toBe("k_fold");
  });

  it("refuses unknown keywords with a suggestion", () => {
    expect(problems(() => make({ total_epoch_s1: 5 }))[0]?.message).toContain("did you mean totalEpochsS1");
    expect(problems(() => make({ trainValTraining: "yes" }))[0]?.message).toContain("true or false");
  });
});
