import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trainConfig } from "../../lib/cli/train.js";
import { applySettings } from "../../lib/config/applySettings.js";
import { ExperimentConfig, type ExperimentInput } from "../../lib/config/experiment.js";
import { readGroups } from "../../lib/data/groups.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-names-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const required = { imgPath: "images", maskPath: "masks", outputName: "run" };
const checked = (config: object) => new ExperimentConfig({ ...required, ...config } as unknown as ExperimentInput);

describe("a number where a name is meant", () => {
  test.each([
    ["output_name: 20240102", /outputName: is the number 20240102: put it in quotes/],
    ["output_name: 007", /outputName: is the number 7: put it in quotes/],
    ["output_name: 1e5", /outputName: is the number 100000: put it in quotes/],
    ["output_name: true", /outputName: is the flag true: put it in quotes/],
    ["groups: g.csv\ntest_groups: [3]", /testGroups\.0: is the number 3: put it in quotes/],
    ["groups: g.csv\ntest_groups: [a, 1.50]", /testGroups\.1: is the number 1\.5: put it in quotes/],
    ["img_path: 2024", /imgPath: is the number 2024: put it in quotes/],
    ["output_dir: 2024", /outputDir: is the number 2024: put it in quotes/],
    ["groups: 5", /groups: is the number 5: put it in quotes/],
    ["weights: 12", /weights: is the number 12: put it in quotes/],
    ["mask_extensions: [0.5]", /maskExtensions\.0: is the number 0\.5: put it in quotes/],
  ])("of a file is refused with the advice to put it in quotes: %s", async (yaml, message) => {
    const path = join(folder, "c.yaml");
    await writeFile(path, `${yaml}\n`);
    const config = await trainConfig({ config: path });
    expect(() => checked(config)).toThrow(message);
  });

  test("is taken in quotes as it is written", async () => {
    const path = join(folder, "quoted.yaml");
    await writeFile(path, `img_path: i\nmask_path: m\noutput_name: "007"\ngroups: g.csv\ntest_groups: ["3", '1e5']\n`);
    expect(checked(await trainConfig({ config: path }))).toMatchObject({ outputName: "007", testGroups: ["3", "1e5"] });
  });

  test("of --set is taken as it is written, since it is text anyway", () => {
    const config = {};
    applySettings(config, [
      "output_name=007",
      "groups=g.csv",
      "test_groups=[3, 007, 1e5, 'b c']",
      "img_path=2024",
      "weights=null",
    ]);
    expect(checked(config)).toMatchObject({
      outputName: "007",
      testGroups: ["3", "007", "1e5", "b c"],
      imgPath: "2024",
      weights: null,
    });
    const others: Record<string, unknown> = {};
    applySettings(others, [
      'output_name="true"',
      "mask_path=a: b #1",
      "batch_size=2",
      "device=cpu",
      "stage1_config.patience=3",
    ]);
    expect(checked(others)).toMatchObject({
      outputName: "true",
      maskPath: "a: b #1",
      batchSize: 2,
      stage1Config: { patience: 3 },
    });
  });

  test("that is neither a value nor a list is a wrong setting, not a fault of the package", () => {
    expect(() => applySettings({}, ["channels=[0, 1"])).toThrow(/channels: \[0, 1 is neither a value nor a list/);
  });
});

test("groups of a YAML file are text, with their zeros", async () => {
  const path = join(folder, "groups.yaml");
  await writeFile(path, "a: 007\nb: 7\n'3': 1e5\n4: x\n");
  expect({ ...(await readGroups(path, ["a", "b", "3", "4"])) }).toEqual({ a: "007", b: "7", 3: "1e5", 4: "x" });
  await writeFile(path, "a: 1\nb:\n");
  await expect(readGroups(path, ["a", "b"])).rejects.toThrow(/b has neither/);
});
