/** The settings of images: names and defaults of the Python module, and what excludes each other. */
import { describe, expect, it } from "vitest";
import { intensityFields } from "../../lib/config/data.js";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { predictOptions, predictSchema } from "../../lib/config/inference.js";
import { parseConfig } from "../../lib/config/parse.js";
import { finetuneConfig } from "../../lib/python/finetuneKeywords.js";
import { storeKey } from "../../lib/train/tiles.js";
import { problems } from "./config-problems.js";

const required = { imgPath: "images", maskPath: "masks", outputName: "run" };

describe("settings of images", () => {
  it("D67: the README's stain_transform with gamma 2.4 holds, in either spelling", () => {
    const given = { augmentation: true, stain_transform: true, gamma: 2.4 };
    expect(new ExperimentConfig({ ...required, ...given } as never)).toMatchObject({ stainTransform: true, gamma: 2.4 });
    const called = finetuneConfig("images", "masks", "run", given);
    expect(new ExperimentConfig(called)).toMatchObject({ augmentation: true, stainTransform: true, gamma: 2.4 });
  });

  it("have the defaults of the data set, and stains only when asked for", () => {
    expect(new ExperimentConfig(required)).toMatchObject({
      stainTransform: false,
      rgbTransform: false,
      inversion: false,
      eosin: 0,
      dab: 1,
      onlyNuclei: false,
      gamma: 2.1,
      nuclearChannel: null,
      wholeCellChannel: null,
      complexAugmentation: false,
    });
  });

  it.each([
    [{ stainTransform: true, gamma: 0 }, "gamma", "a finite number > 0"],
    [{ stainTransform: true, eosin: -0.1 }, "eosin", "a finite number >= 0"],
    [{ nuclearChannel: "gren" }, "nuclearChannel", "did you mean green?"],
    [{ gamma: 2.4 }, "gamma", "no effect without stainTransform"],
    [{ onlyNuclei: true }, "onlyNuclei", "no effect without stainTransform"],
    [{ stainTransform: true, rgbTransform: true }, "stainTransform", "excludes rgbTransform"],
    [{ stainTransform: true, nuclearChannel: "red" }, "stainTransform", "excludes nuclearChannel"],
    [{ rgbTransform: true, wholeCellChannel: "red" }, "rgbTransform", "excludes wholeCellChannel"],
    [{ nuclearChannel: "red", wholeCellChannel: "red" }, "wholeCellChannel", "so is nuclearChannel"],
  ])("%j is refused for training and for prediction", (given, key, message) => {
    const expected = [{ key, message: expect.stringContaining(message) }];
    expect(problems(() => new ExperimentConfig({ ...required, ...given } as never))).toEqual(expected);
    expect(problems(() => parseConfig("prediction", predictSchema(), given))).toEqual(expected);
  });

  it("complexAugmentation needs augmentation", () => {
    const expected = [{ key: "complexAugmentation", message: expect.stringContaining("augmentation: true") }];
    expect(problems(() => new ExperimentConfig({ ...required, complexAugmentation: true }))).toEqual(expected);
    expect(() => new ExperimentConfig({ ...required, augmentation: true, complexAugmentation: true })).not.toThrow();
  });

  it("augmentationVariants needs complexAugmentation", () => {
    const expected = [{ key: "augmentationVariants", message: expect.stringContaining("complexAugmentation: true") }];
    const given = { ...required, augmentation: true, augmentationVariants: 4 };
    expect(problems(() => new ExperimentConfig(given))).toEqual(expected);
    expect(() => new ExperimentConfig({ ...given, complexAugmentation: true })).not.toThrow();
  });

  it("D7: every one of them reaches prediction and names the store of tiles", async () => {
    const changed = {
      normalize: false,
      intensity: "full",
      greyChannel: "all",
      nuclearChannel: "red",
      wholeCellChannel: "green",
      rgbTransform: true,
      stainTransform: true,
      inversion: true,
      eosin: 0.2,
      dab: 0.3,
      onlyNuclei: true,
      gamma: 2.4,
    } as const;
    expect(Object.keys(changed)).toEqual(Object.keys(intensityFields()));
    const config = { ...new ExperimentConfig(required) };
    expect(predictOptions({ ...config, ...changed })).toMatchObject(changed);
    const keys = new Set([await storeKey([], config, "1")]);
    for (const [name, value] of Object.entries(changed)) keys.add(await storeKey([], { ...config, [name]: value }, "1"));
    expect(keys.size).toBe(Object.keys(changed).length + 1);
  });
});
