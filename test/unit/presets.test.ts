import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { initCommand } from "../../lib/cli/init.js";
import { type ConfigFlags, trainConfig } from "../../lib/cli/train.js";
import { ExperimentConfig } from "../../lib/config/experiment.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-presets-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const notes: string[] = [];
const config = async (flags: ConfigFlags) => new ExperimentConfig(await trainConfig(flags, (message) => notes.push(message)));
const flags = { images: "data/images", masks: "data/masks", weights: "cellsam-tiny" };

describe("a training by flags alone with cellsam-tiny", () => {
  test("has the settings that init --preset tiny writes", async () => {
    const file = join(folder, "tiny.yaml");
    await initCommand().parseAsync(
      [file, "--preset", "tiny", "--set", "img_path=data/images", "--set", "mask_path=data/masks"],
      {
        from: "user",
      },
    );
    const written = new ExperimentConfig(parse(await readFile(file, "utf8")));
    notes.length = 0;
    const { outputName, ...own } = (await config(flags)).toDict();
    const { output_name: _theirs, ...theirs } = written.toDict();
    const { output_name: name, ...rest } = own as Record<string, unknown>;
    expect(rest).toEqual(theirs);
    expect([outputName, name]).toEqual([undefined, "images_tiny"]);
    expect(rest).toMatchObject({ strategy: "train_val_split", tile_size: 128, stage1_config: { total_epochs: 30 } });
    expect(notes.join()).toMatch(/preset tiny of cellsam-tiny: strategy train_val_split, epochs 30 \+ 20/);
  });

  test("gives way to every flag, group by group", async () => {
    const set = ["stage2_config.learning_rate=1e-3", "augmentation=false", "tile_size=256"];
    const own = await config({ ...flags, name: "mine", epochs1: 3, strategy: "k_fold", set });
    expect(own).toMatchObject({
      outputName: "mine",
      strategy: "k_fold",
      augmentation: false,
      tileSize: 256,
      stage1Config: { totalEpochs: 3, optimizer: "muon", learningRate: 1e-3, setCostBbox: 5 },
      stage2Config: { totalEpochs: 20, learningRate: 1e-3, boxJitter: 0.05 },
    });
  });

  test("leaves out what contradicts a flag", async () => {
    const { stage2Config } = await config({ ...flags, set: ["stage2_config.train_neck_only=true"] });
    expect(stage2Config).toMatchObject({ trainNeckOnly: true, freezeMaskDecoder: true, totalEpochs: 20 });
    // A wrong flag is the user's to mend.
    await expect(config({ ...flags, set: ["tile_size=0"] })).rejects.toThrow(/tileSize/);
  });
});

describe("no preset", () => {
  test("is added to a file, nor to other weights", async () => {
    const file = join(folder, "own.yaml");
    await writeFile(file, "img_path: i\nmask_path: m\noutput_name: o\nweights: cellsam-tiny\n");
    notes.length = 0;
    expect(await config({ config: file })).toMatchObject({ strategy: "k_fold", stage1Config: { totalEpochs: 500 } });
    expect(await config({ ...flags, weights: "sam.pth" })).toMatchObject({ strategy: "k_fold", outputName: "images" });
    expect(notes).toEqual([]);
  });
});
