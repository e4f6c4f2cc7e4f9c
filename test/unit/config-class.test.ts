import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { Stage1Config } from "../../lib/config/stage1.js";
import { Stage2Config } from "../../lib/config/stage2.js";

const required = { imgPath: "i", maskPath: "m", outputName: "run" };
const make = () => new ExperimentConfig({ ...required, stage1Config: new Stage1Config({ patience: 3 }) });

describe("a configuration object", () => {
  test("D62: is made from keywords under the README's names", () => {
    const stage = new Stage1Config({ stage1Type: "all_backbones", totalEpochs: 200, ceLossWeight: 2 });
    expect(stage).toMatchObject({ stage1Type: "all_backbones", totalEpochs: 200, ceLossWeight: 2, patience: 15 });
  });

  test("D64: checks every assignment, and a refused one changes nothing", () => {
    const config = make();
    config.debug = true;
    config.stage1Config.learningRate = 0.5;
    expect(config).toMatchObject({ debug: true, stage1Config: { learningRate: 0.5, patience: 3 } });
    expect(() => {
      config.stage1Config.learningRate = -5;
    }).toThrow(/stage1Config.learningRate: must be a finite number > 0/);
    expect(() => config.set("stage2_config.ohem_fraction", 0.5)).toThrow(/has no effect/);
    expect(config.stage1Config.learningRate).toBe(0.5);
    expect(config.stage2Config.ohemFraction).toBe(0.1);
  });

  test("D73: refuses attributes that are no settings, wherever they stand", () => {
    const config = make() as unknown as Record<string, unknown> & { stage1Config: Record<string, unknown> };
    expect(() => {
      config.debgu = true;
    }).toThrow(/debgu: unknown key; did you mean debug/);
    expect(() => {
      config.stage1Config.patiense = 1;
    }).toThrow(/stage1Config.patiense: unknown key; did you mean patience/);
    expect(Object.keys(config)).not.toContain("debgu");
  });

  test("D73: can be cloned, and sent to another process as JSON", () => {
    const config = make();
    expect(structuredClone(config)).toEqual({ ...config });
    expect({ ...new ExperimentConfig(JSON.parse(JSON.stringify(config))) }).toEqual({ ...config });
  });

  test("D68: gives pure JSON in the files' spelling, which the constructor takes back", () => {
    const config = make();
    const dict = config.toDict();
    expect(dict).toMatchObject({ img_path: "i", stage1_config: { patience: 3, total_epochs: 500 } });
    expect(JSON.parse(JSON.stringify(dict))).toEqual(dict);
    expect(new ExperimentConfig(dict as never).toDict()).toEqual(dict);
  });

  test("answers dotted paths in either spelling, with a fallback for what is unknown", () => {
    const config = make();
    expect([config.get("stage1_config.patience"), config.get("stage1Config.patience")]).toEqual([3, 3]);
    expect(config.get("stage1_config.nothing", 9)).toBe(9);
    expect(() => config.get("stage1_config.patiense")).toThrow(/did you mean patience/);
    config.set("stage1_config.patience", 4);
    expect(config.stage1Config.get("patience")).toBe(4);
    config.stage1Config.set("patience", 5);
    expect(config.stage1Config.patience).toBe(5);
  });

  test("is saved and loaded as YAML and as JSON", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cellsam-class-"));
    const config = make();
    config.set("stages", [1]);
    for (const name of ["c.yaml", "c.json"]) {
      const path = join(folder, name);
      await config.saveToFile(path);
      expect(await readFile(path, "utf8")).toContain("total_epochs");
      const other = new ExperimentConfig({ ...required, outputName: "other" });
      await other.loadFromFile(path);
      expect(other.toDict()).toEqual(config.toDict());
    }
    await expect(config.saveToFile(join(folder, "c.txt"))).rejects.toThrow(/yaml/);
  });

  test("hands out lists that cannot be changed behind its back", () => {
    expect(() => make().stages.push(2)).toThrow(TypeError);
  });
});

describe("the stages' own questions", () => {
  test("D65: the weights of stage 1 are numbers, and so are its groups", () => {
    const stage = new Stage1Config({ ceLossWeight: 2, learningRate: 1e-3, backboneLrRatio: 0.1 });
    expect(stage.getWeightDict()).toEqual({ loss_ce: 2, loss_bbox: 5, loss_giou: 2 });
    expect(stage.getOptimizerParamGroups()).toEqual([
      { name: "head", learningRate: 1e-3, weightDecay: 1e-4 },
      { name: "backbone", learningRate: 1e-4, weightDecay: 1e-4 },
    ]);
    expect(new Stage1Config({ stage1Type: "head_only" }).getOptimizerParamGroups()).toHaveLength(1);
  });

  test("the weights of stage 2 follow its switches", () => {
    expect(new Stage2Config({ focalLossWeight: 3 }).getLossWeights()).toEqual({ focal: 3, dice: 1, boundary: 1 });
    expect(new Stage2Config({ useBoundaryLoss: false }).getLossWeights().boundary).toBe(0);
  });

  test("D22: deep is a question of the stage's own epochs", () => {
    expect([600, 601].map((totalEpochs) => new Stage2Config({ totalEpochs }).isDeepModel())).toEqual([false, true]);
  });

  test("are known to the groups of an experiment too", () => {
    const { stage1Config } = make();
    const { getWeightDict } = stage1Config as unknown as InstanceType<typeof Stage1Config>;
    expect(getWeightDict.call(stage1Config)).toEqual({ loss_ce: 1, loss_bbox: 5, loss_giou: 2 });
  });
});
