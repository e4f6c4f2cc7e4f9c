/** `cellsam predict`: writes the cells of an image or of a folder of images. */
import { Command, InvalidArgumentError } from "commander";
import { predictFolder } from "../entry.js";
import { strictJson } from "../files/json.js";
import { checkOutputFolder } from "../files/outputPath.js";
import { nearest } from "../nearest.js";
import type { PredictFolderOptions } from "../predict/folder.js";
import { type PredictionFormat, predictionFormats } from "../predict/formats.js";
import type { PredictedImage } from "../predict/scores.js";
import type { Shard } from "../predict/shard.js";
import { given, shardFlag, shardHelp } from "./flags.js";
import { addModelFlags, type ModelFlags, modelConfig } from "./modelFlags.js";
import { Progress } from "./progress.js";
import { stoppable } from "./stop.js";

interface PredictFlags extends ModelFlags {
  out: string;
  format?: PredictionFormat[];
  overlay?: boolean;
  overwrite?: boolean;
  skipExisting?: boolean;
  resume?: boolean;
  shard?: Shard;
  json?: boolean;
}

/** Adds the formats of one flag, of which several may stand between commas. */
function formatFlag(text: string, before: PredictionFormat[] = []): PredictionFormat[] {
  const names = text.split(",").map((name) => name.trim());
  for (const name of names) {
    if (predictionFormats.includes(name as PredictionFormat)) continue;
    const meant = nearest(name, predictionFormats);
    throw new InvalidArgumentError(`known are ${predictionFormats.join(", ")}${meant ? `; did you mean ${meant}?` : ""}`);
  }
  return [...before, ...(names as PredictionFormat[])];
}

export function predictCommand(): Command {
  const command = new Command("predict")
    .description("find the cells of every image, and write label images or other formats")
    .argument("<images>", "an image or a folder of images")
    .requiredOption("-o, --out <folder>", "folder for what is written, and for scores.json")
    .option(
      "--format <format>",
      `${predictionFormats.join(", ")}; repeatable, or several between commas; roi is ImageJ's RoiSet.zip, csv a table of cells (tiff)`,
      formatFlag,
    )
    .option("--overlay", "also write overlays/NAME.png, the image with the outlines of its cells")
    .option("--overwrite", "replace files that exist")
    .option("--skip-existing", "keep files that exist and write only what is missing: goes on after an interruption")
    .option("--resume", "the same as --skip-existing")
    .option("--shard <i/n>", shardHelp, shardFlag)
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors");
  return addModelFlags(command).action(async (images: string, flags: PredictFlags) => {
    const progress = new Progress({ epochs: { 1: 0, 2: 0 } });
    const config = await modelConfig(flags);
    await checkOutputFolder("--out", flags.out);
    const sum = { images: 0, cells: 0 };
    const onImage = ({ cells }: PredictedImage) => {
      sum.images += 1;
      sum.cells += cells;
    };
    const options = (signal: AbortSignal): PredictFolderOptions => ({
      outputDir: flags.out,
      format: flags.format ?? "tiff",
      overlay: flags.overlay ?? false,
      overwrite: flags.overwrite ?? false,
      skipExisting: flags.skipExisting ?? flags.resume ?? false,
      ...given({ shard: flags.shard }),
      onProgress: (event) => progress.show(event),
      onWarning: (message) => progress.show({ type: "notice", level: "warning", message }),
      onImage,
      signal,
    });
    const predict = async (signal: AbortSignal) => {
      if (flags.json) return predictFolder(images, config, options(signal));
      const { predictInto } = await import("../predict/folder.js");
      return predictInto(images, config, options(signal));
    };
    const predicted = await stoppable(predict, "--skip-existing").finally(() => progress.finish());
    if (predicted) {
      process.stdout.write(`${strictJson({ images: predicted })}\n`);
      return;
    }
    const part = flags.shard ? `shard ${flags.shard.index} of ${flags.shard.count}: ` : "";
    process.stdout.write(`${part}${sum.cells} cells in ${sum.images} images, written to ${flags.out}\n`);
  });
}
