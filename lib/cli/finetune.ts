/** `cellsam finetune`: the Python module's `finetune`, with its keywords as key=value. */
import { Command } from "commander";
import { applySettings } from "../config/applySettings.js";
import type { RawConfig } from "../config/load.js";
import { finetuneConfig } from "../python/finetuneKeywords.js";
import { addRunFlags, type RunFlags, runExperiment } from "./runCommand.js";

export function finetuneCommand(): Command {
  const command = new Command("finetune")
    .description("train with the keywords of the Python module's finetune()")
    .argument("<images>", "folder of images")
    .argument("<masks>", "folder of label masks")
    .argument("<name>", "name of the experiment")
    .argument("[keywords...]", "key=value, e.g. total_epochs_s1=5 strategy=train_val_split");
  return addRunFlags(command).action(
    async (images: string, masks: string, name: string, keywords: string[], flags: RunFlags) => {
      const options: RawConfig = {};
      applySettings(options, keywords);
      await runExperiment(finetuneConfig(images, masks, name, options), flags);
    },
  );
}
