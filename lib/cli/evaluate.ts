/** `cellsam evaluate`: predictions, or a model on images, against true masks. */
import { existsSync } from "node:fs";
import { Command } from "commander";
import { toSnake } from "../config/python.js";
import { CellsamError } from "../errors.js";
import { strictJson, writeJson } from "../monitor/json.js";
import { evaluateFolders, evaluateWeights } from "../runners/evaluate.js";
import { addModelFlags, type ModelFlags, modelConfig } from "./modelFlags.js";
import { Progress } from "./progress.js";
import { summaryTable } from "./table.js";

interface EvaluateFlags extends ModelFlags {
  masks: string;
  predictions?: string;
  images?: string;
  binaryMasks?: boolean;
  out?: string;
  overwrite?: boolean;
  json?: boolean;
}

export function evaluateCommand(): Command {
  const command = new Command("evaluate")
    .description("compare predictions, or a model's answers, with true masks")
    .requiredOption("--masks <path>", "true label masks")
    .option("--predictions <path>", "predicted label images")
    .option("--images <path>", "images for a model to predict, with --experiment or --weights")
    .option("--binary-masks", "the true masks are foreground masks")
    .option("-o, --out <file>", "write the metrics, per image and over all, as JSON")
    .option("--overwrite", "replace the --out file if it exists")
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors");
  return addModelFlags(command).action(async (flags: EvaluateFlags) => {
    const { masks, predictions, images, binaryMasks = false } = flags;
    if ((predictions === undefined) === (images === undefined)) {
      throw new CellsamError("ERR_CONFIG", "give either --predictions, or --images with a model");
    }
    if (flags.out && !flags.overwrite && existsSync(flags.out)) {
      throw new CellsamError("ERR_OUTPUT_EXISTS", `${flags.out} exists already; use --overwrite to replace it`, {
        detail: { path: flags.out },
      });
    }
    const progress = new Progress({ epochs: { 1: 0, 2: 0 } });
    const options = {
      binaryMasks,
      onProgress: progress.show.bind(progress),
      onWarning: (message: string) => progress.show({ type: "notice", level: "warning", message }),
    };
    const work = predictions
      ? evaluateFolders(masks, predictions, options)
      : evaluateWeights(images as string, masks, await modelConfig(flags), options);
    const evaluation = await work.finally(() => progress.finish());
    const document = toSnake(evaluation);
    if (flags.out) await writeJson(flags.out, document);
    if (flags.json) process.stdout.write(`${strictJson(document)}\n`);
    else process.stdout.write(`${evaluation.images.length} images\n${summaryTable(evaluation.summary)}\n`);
  });
}
