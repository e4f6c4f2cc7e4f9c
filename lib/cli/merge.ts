/** `cellsam merge`: sums up what the shards of a prediction or an evaluation have done. */
import { Command } from "commander";
import { evaluationParts, finishEvaluation } from "./evaluate.js";

export function mergeCommand(): Command {
  return new Command("merge")
    .description("sum up what all shards of predict or evaluate have done; the last shard does it by itself")
    .argument("<path>", "the --out of the shards: a folder of predictions, or the file of an evaluation")
    .option("--overwrite", "replace the file of an evaluation if it exists")
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors")
    .action(async (path: string, flags: { overwrite?: boolean; json?: boolean }) => {
      const evaluation = evaluationParts(path);
      if (await evaluation.plan()) {
        const { mergeEvaluation } = await import("../evaluation/shards.js");
        await finishEvaluation(await mergeEvaluation(evaluation.folder), { ...flags, out: path });
        await evaluation.remove();
        return;
      }
      const { mergePredictions } = await import("../predict/shardedFolder.js");
      const merged = await mergePredictions(path);
      if (flags.json) process.stdout.write(`${JSON.stringify(merged ?? {})}\n`);
      else if (merged) process.stdout.write(`${merged.cells} cells in ${merged.images} images, summed up in ${path}\n`);
      else process.stdout.write(`${path}: everything is summed up already\n`);
    });
}
