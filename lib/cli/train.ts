/** `cellsam train`: trains the experiment of a configuration file and flags. */
import { Command } from "commander";
import { applySettings } from "../config/applySettings.js";
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { inFileSpelling } from "../config/fileSpelling.js";
import { mergeConfig, type RawConfig, readConfigFile, readPythonFiles, setAt } from "../config/load.js";
import { overPreset, type Preset, presetOf } from "../config/presets.js";
import { nameOf } from "../config/template.js";
import { CellsamError } from "../errors.js";
import type { Served } from "../studio/serve.js";
import { integerFlag, numberFlag, repeated } from "./flags.js";
import { hostHelp, type PlaceFlags, portHelp } from "./placeFlags.js";
import { addRunFlags, type RunFlags, runExperiment } from "./runCommand.js";

/** The setting of each flag, by commander's name of the flag. */
const settings: Record<string, string> = {
  images: "imgPath",
  masks: "maskPath",
  name: "outputName",
  outputDir: "outputDir",
  size: "size",
  weights: "weights",
  device: "device",
  precision: "precision",
  seed: "seed",
  threads: "threads",
  batchSize: "batchSize",
  epochs1: "stage1Config.totalEpochs",
  epochs2: "stage2Config.totalEpochs",
  lr1: "stage1Config.learningRate",
  lr2: "stage2Config.learningRate",
  augmentation: "augmentation",
  complexAugmentation: "complexAugmentation",
  stainTransform: "stainTransform",
  gamma: "gamma",
  splits: "splits",
  strategy: "strategy",
  kFolds: "kFolds",
  groups: "groups",
  testRatio: "testRatio",
};

export function trainCommand(): Command {
  const command = addConfigFlags(new Command("train").description("train on a folder of images and a folder of masks"))
    .option("--watch", "also serve a page with the curves and the log, at the address that is printed")
    .option("--host <address>", hostHelp, "127.0.0.1")
    .option("--port <n>", portHelp, integerFlag, 0);
  return addRunFlags(command).action(async (flags: RunFlags & ConfigFlags & WatchFlags) => {
    const notes: string[] = [];
    const config = await trainConfig(flags, (message) => notes.push(message));
    const watched = flags.watch ? await watch(config, flags) : null;
    await runExperiment(config, flags, notes).finally(() => watched?.close());
  });
}

interface WatchFlags extends PlaceFlags {
  watch?: boolean;
}

/** Serves the page of the experiment's folder while it is trained, and says where. */
async function watch(input: ExperimentInput, place: PlaceFlags): Promise<Served> {
  const { serveRuns } = await import("../studio/serve.js");
  const served = await serveRuns(new ExperimentConfig(input).outputDir, process.pid, place);
  process.stderr.write(`watch it at ${served.address}\n`);
  return served;
}

/** Adds the flags that make up a configuration. */
export function addConfigFlags(command: Command): Command {
  return command
    .option("-c, --config <file>", "configuration, YAML or JSON")
    .option("--stage1-config <file>", "the Python module's settings of stage 1, YAML or JSON")
    .option("--stage2-config <file>", "the Python module's settings of stage 2")
    .option("--dataset-config <file>", "the Python module's settings of the data set")
    .option("--images <path>", "folder of images")
    .option("--masks <path>", "folder of label masks")
    .option("--name <name>", "name of the experiment (default: that of the images' folder)")
    .option("--output-dir <path>", "folder of experiments (default: output)")
    .option("--size <size>", "vit_b, vit_l, vit_h or tiny")
    .option("--weights <file>", "weights to start from, .pth or .safetensors, or cellsam-tiny (default: from scratch)")
    .option("--device <device>", "auto, cpu, cuda or cuda:N")
    .option("--precision <precision>", "auto, fp32 or bf16")
    .option("--seed <n>", "seed of all random numbers except those of the splits", integerFlag)
    .option("--threads <n>", "compute threads, 0 for all cores", integerFlag)
    .option("--batch-size <n>", "tiles in a step", integerFlag)
    .option("--epochs1 <n>", "epochs of stage 1", integerFlag)
    .option("--epochs2 <n>", "epochs of stage 2", integerFlag)
    .option("--lr1 <rate>", "learning rate of stage 1", numberFlag)
    .option("--lr2 <rate>", "learning rate of stage 2", numberFlag)
    .option("--augmentation", "flips and quarter turns")
    .option("--complex-augmentation", "with --augmentation: also affine, elastic, brightness, gamma")
    .option("--stain-transform", "bright-field RGB becomes amounts of haematoxylin, eosin and DAB")
    .option("--gamma <n>", "exponent of the amounts of stain (default: 2.1)", numberFlag)
    .option("--strategy <name>", "k_fold (default), train_val_split, full_dataset or leave_one_group_out")
    .option("--k-folds <n>", "folds of k_fold (default: 5)", integerFlag)
    .option("--groups <file>", "table of images and their slide or patient, which are never divided")
    .option("--test-ratio <share>", "share of the images to hold out as a test", numberFlag)
    .option("--splits <file>", "splits.json to use in place of a draw: one split, or one for each fold")
    .option("-s, --set <key=value>", "any other setting, e.g. stage1_config.patience=5; repeatable", repeated);
}

export interface ConfigFlags extends Record<string, unknown> {
  config?: string;
  stage1Config?: string;
  stage2Config?: string;
  datasetConfig?: string;
  set?: string[];
}

const warn = (message: string) => process.stderr.write(`warning: ${inFileSpelling(message)}\n`);

/**
 * The configuration of the Python module's files, the file, flags and settings; each takes precedence over the ones before.
 * Without a file the experiment is named after the folder of its images, and shipped weights bring their preset, of which
 * `note` is told.
 */
export async function trainConfig(flags: ConfigFlags, note: (message: string) => void = say): Promise<ExperimentInput> {
  const python = flags.stage1Config || flags.stage2Config || flags.datasetConfig ? await readPythonFiles(flags, warn) : {};
  const config = flags.config ? mergeConfig(python, await readConfigFile(flags.config, warn)) : python;
  for (const [flag, path] of Object.entries(settings)) {
    if (flags[flag] !== undefined) setAt(config, path, flags[flag]);
  }
  applySettings(config, flags.set ?? []);
  if (flags.config || flags.stage1Config || flags.stage2Config || flags.datasetConfig) return config as ExperimentInput;
  const missing = [...(config.imgPath ? [] : ["--images FOLDER"]), ...(config.maskPath ? [] : ["--masks FOLDER"])];
  if (missing.length > 0)
    throw new CellsamError("ERR_CONFIG", `give ${missing.join(" and ")}, or --config FILE (\`cellsam init\` writes one)`);
  const preset = presetOf(config.weights);
  if (typeof config.imgPath === "string") config.outputName ??= nameOf(config.imgPath) + (preset ? `_${preset}` : "");
  if (!preset) return config as ExperimentInput;
  const whole = overPreset(preset, config);
  note(presetNote(preset, whole));
  return whole as ExperimentInput;
}

const say = (message: string) => process.stderr.write(`${message}\n`);

function presetNote(preset: Preset, { strategy, weights, stage1Config, stage2Config }: RawConfig): string {
  const epochs = [stage1Config, stage2Config].map((stage) => (stage as RawConfig).totalEpochs).join(" + ");
  return (
    `preset ${preset} of ${weights}: strategy ${strategy}, epochs ${epochs};\n` +
    `  flags change it, \`cellsam init --preset ${preset}\` writes it to a file`
  );
}
