/** `cellsam init`: writes a commented configuration file, with facts about the data where they are given. */
import { existsSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Command, Option } from "commander";
import { applySettings } from "../config/applySettings.js";
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { mergeConfig, type RawConfig } from "../config/load.js";
import { type Preset, presets } from "../config/presets.js";
import { shippedSettings } from "../config/shippedWeights.js";
import { type Chosen, configTemplate, nameOf } from "../config/template.js";
import type { DataFacts } from "../data/facts.js";
import { CellsamError } from "../errors.js";
import { checkOutputFile, unusableFile } from "../files/outputPath.js";
import { toSnake } from "../spelling.js";
import { repeated } from "./flags.js";

interface InitFlags {
  images?: string;
  masks?: string;
  name?: string;
  weights?: string;
  preset?: Preset;
  set?: string[];
  short?: boolean;
}

export function initCommand(): Command {
  return new Command("init")
    .description("write a commented configuration file")
    .argument("[file]", "where; never replaces a file", "cellsam.yaml")
    .option("--images <path>", "folder of images")
    .option("--masks <path>", "folder of label masks")
    .option("--name <name>", "name of the experiment")
    .option("--weights <file>", "weights to start from, a file or cellsam-tiny")
    .addOption(new Option("--preset <preset>", "starting point").choices(Object.keys(presets)))
    .option("-s, --set <key=value>", "a setting to write and to read the data with, e.g. channels=[0,1]; repeatable", repeated)
    .option("--short", "only the settings that one usually changes")
    .option("--debug", "print the stack of errors")
    .action(async (file: string, flags: InitFlags) => {
      const { images, masks, name, weights, preset, set = [], short = false } = flags;
      await checkNew(file);
      const paths: RawConfig = { imgPath: images ?? "images", maskPath: masks ?? "masks", outputName: "experiment" };
      const settings: RawConfig = {};
      applySettings(settings, set);
      const config = new ExperimentConfig({ ...paths, ...settings } as unknown as ExperimentInput);
      const { dataFacts } = await import("../data/facts.js");
      const found: DataFacts = images && masks ? await dataFacts(config) : { facts: [], settings: {} };
      const chosen: Chosen = mergeConfig(
        {
          img_path: images ?? "path/to/images",
          mask_path: masks ?? "path/to/masks",
          output_name: name ?? (preset ? `${nameOf(images ?? "my")}_${preset}` : nameOf(images ?? "my_experiment")),
          ...(toSnake(found.settings) as RawConfig),
          ...(preset && presets[preset]),
          ...(weights && { weights, ...(toSnake(shippedSettings(weights)) as RawConfig) }),
        },
        toSnake(settings) as RawConfig,
      );
      await writeNew(file, configTemplate(chosen, found.facts, { short }));
      if (found.problem) process.stderr.write(`warning: ${found.problem}\n`);
      process.stdout.write(`${file} written; next: npx cellsam plan --config ${file} --probe\n`);
    });
}

/** Before the data are read, which can take long. */
async function checkNew(path: string): Promise<void> {
  if (existsSync(path)) throw exists(path);
  await stat(dirname(path)).catch((cause: Error) => {
    throw unusableFile("file", path, cause);
  });
  await checkOutputFile("file", path);
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    await using file = await open(path, "wx");
    await file.writeFile(text);
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).code === "EEXIST" ? exists(path) : unusableFile("file", path, cause as Error);
  }
}

function exists(path: string): CellsamError {
  return new CellsamError("ERR_OUTPUT_EXISTS", `${path} exists already; choose another name`, { detail: { path } });
}
