/** The flags of `predict` and `evaluate` that choose the model and its settings. */
import type { Command } from "commander";
import { applySettings } from "../config/applySettings.js";
import type { PredictInput } from "../config/inference.js";
import { mergeConfig, type RawConfig, readConfigFile, setAt } from "../config/load.js";
import { integerFlag, repeated } from "./flags.js";
import { whoseWeights } from "./whoseWeights.js";

export interface ModelFlags {
  experiment?: string;
  config?: string;
  weights?: string;
  size?: string;
  device?: string;
  precision?: string;
  threads?: number;
  set?: string[];
}

export function addModelFlags(command: Command): Command {
  return addReadingFlags(
    command
      .option("-e, --experiment <folder>", "a finished experiment: its model and its settings")
      .option("--weights <file>", ".pth or .safetensors, or cellsam-tiny, which comes with the package"),
  );
}

/** Adds the flags that say how the model reads images and computes, without those that choose it. */
export function addReadingFlags(command: Command): Command {
  return command
    .option("-c, --config <file>", "settings of model and inference, YAML or JSON")
    .option("--size <size>", "vit_b, vit_l, vit_h or tiny")
    .option("--device <device>", "auto, cpu, cuda or cuda:N")
    .option("--precision <precision>", "auto, fp32 or bf16")
    .option("--threads <n>", "compute threads, 0 for all cores", integerFlag)
    .option("-s, --set <key=value>", "any other setting, e.g. inference.bbox_threshold=0.3; repeatable", repeated);
}

/**
 * The configuration of experiment, file, flags and settings; each takes precedence over the ones before. Says on stderr whose
 * weights those of an experiment are.
 */
export async function modelConfig(flags: ModelFlags): Promise<PredictInput> {
  const { trainedConfig } = await import("../predict/trained.js");
  const trained: RawConfig = flags.experiment ? { ...(await trainedConfig(flags.experiment)) } : {};
  const own = trained.weights;
  const config = flags.config ? mergeConfig(trained, await readConfigFile(flags.config)) : trained;
  for (const key of ["weights", "size", "device", "precision", "threads"] as const) {
    if (flags[key] !== undefined) setAt(config, key, flags[key]);
  }
  applySettings(config, flags.set ?? []);
  if (flags.experiment && config.weights === own)
    process.stderr.write(`${await whoseWeights(flags.experiment, own as string)}\n`);
  return config as PredictInput;
}
