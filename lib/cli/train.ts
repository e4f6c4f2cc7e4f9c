/** `cellsam train`: a configuration file, flags over it, one experiment. */
import { Command } from "commander";
import type { ExperimentInput } from "../config/experiment.js";
import { applySettings, type RawConfig, readConfigFile, setAt } from "../config/load.js";
import { integerFlag, numberFlag, repeated } from "./flags.js";
import { addRunFlags, type RunFlags, runExperiment } from "./runCommand.js";

/** Flag values by commander's name, and the setting each one stands for. */
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
  splits: "splits",
};

export function trainCommand(): Command {
  const command = new Command("train")
    .description("train on a folder of images and a folder of masks")
    .option("-c, --config <file>", "configuration, YAML or JSON, in camelCase or Python's snake_case")
    .option("--images <path>", "folder of images")
    .option("--masks <path>", "folder of label masks")
    .option("--name <name>", "name of the experiment")
    .option("--output-dir <path>", "folder of experiments (default: output)")
    .option("--size <size>", "vit_b, vit_l, vit_h or tiny")
    .option("--weights <file>", "weights to start from, .pth or .safetensors (default: from scratch)")
    .option("--device <device>", "auto, cpu, cuda or cuda:N")
    .option("--precision <precision>", "fp32 or bf16")
    .option("--seed <n>", "seed of everything but the split", integerFlag)
    .option("--threads <n>", "compute threads, 0 for all cores", integerFlag)
    .option("--batch-size <n>", "tiles in a step", integerFlag)
    .option("--epochs1 <n>", "epochs of stage 1", integerFlag)
    .option("--epochs2 <n>", "epochs of stage 2", integerFlag)
    .option("--lr1 <rate>", "learning rate of stage 1", numberFlag)
    .option("--lr2 <rate>", "learning rate of stage 2", numberFlag)
    .option("--augmentation", "flips and quarter turns")
    .option("--splits <file>", "splits.json with train and val lists")
    .option("-s, --set <key=value>", "any other setting, e.g. stage1_config.patience=5; repeatable", repeated);
  return addRunFlags(command).action(
    async (flags: RunFlags & Record<string, unknown> & { config?: string; set?: string[] }) => {
      await runExperiment(await trainConfig(flags), flags);
    },
  );
}

/** The configuration that file, flags and settings give, in this order. */
export async function trainConfig(
  flags: Record<string, unknown> & { config?: string; set?: string[] },
): Promise<ExperimentInput> {
  const config: RawConfig = flags.config ? await readConfigFile(flags.config) : {};
  for (const [flag, path] of Object.entries(settings)) {
    if (flags[flag] !== undefined) setAt(config, path, flags[flag]);
  }
  applySettings(config, flags.set ?? []);
  return config as ExperimentInput;
}
