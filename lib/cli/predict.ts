/** `cellsam predict`: writes label images for an image or a folder of images. */
import { Command, Option } from "commander";
import { type LabelFormat, labelFormats } from "../data/write.js";
import { predictFolder } from "../entry.js";
import { strictJson } from "../files/json.js";
import { addModelFlags, type ModelFlags, modelConfig } from "./modelFlags.js";
import { Progress } from "./progress.js";

interface PredictFlags extends ModelFlags {
  out: string;
  format: LabelFormat;
  overwrite?: boolean;
  json?: boolean;
}

export function predictCommand(): Command {
  const command = new Command("predict")
    .description("write a label image for every image")
    .argument("<images>", "an image or a folder of images")
    .requiredOption("-o, --out <folder>", "folder for the label images and scores.json")
    .addOption(new Option("--format <format>", "of the label images").choices([...labelFormats]).default("tiff"))
    .option("--overwrite", "replace label images that exist")
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors");
  return addModelFlags(command).action(async (images: string, flags: PredictFlags) => {
    const progress = new Progress({ epochs: { 1: 0, 2: 0 } });
    const predicted = await predictFolder(images, await modelConfig(flags), {
      outputDir: flags.out,
      format: flags.format,
      overwrite: flags.overwrite ?? false,
      onProgress: (event) => progress.show(event),
      onWarning: (message) => progress.show({ type: "notice", level: "warning", message }),
    }).finally(() => progress.finish());
    if (flags.json) {
      process.stdout.write(`${strictJson({ images: predicted })}\n`);
      return;
    }
    const cells = predicted.reduce((sum, image) => sum + image.cells, 0);
    process.stdout.write(`${cells} cells in ${predicted.length} images, written to ${flags.out}\n`);
  });
}
