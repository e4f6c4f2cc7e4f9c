/** The flags of a run, and a run with signals, progress and results, for `train` and `finetune`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import type { ExperimentInput } from "../config/experiment.js";
import { strictJson } from "../files/json.js";
import { toSnake } from "../spelling.js";
import { ExperimentRunner } from "../train/experiment.js";
import type { FoldResult } from "../train/results.js";
import { Progress } from "./progress.js";
import { stoppable } from "./stop.js";
import { summaryTable } from "./table.js";

export interface RunFlags {
  resume?: boolean;
  overwrite?: boolean;
  json?: boolean;
  debug?: boolean;
}

export function addRunFlags(command: Command): Command {
  return command
    .option("--resume", "continue a stopped or killed run")
    .option("--overwrite", "replace an earlier experiment of the same name")
    .option("--json", "print events and the result as JSON lines on stdout")
    .option("--debug", "log every step; print the stack of errors");
}

export async function runExperiment(config: ExperimentInput, flags: RunFlags): Promise<void> {
  const { resume = false, overwrite = false, json, debug } = flags;
  await stoppable(async (signal, saved) => {
    const runner = new ExperimentRunner(debug ? { ...config, debug } : config, { resume, overwrite, signal });
    const { stage1Config, stage2Config } = runner.config;
    const progress = new Progress({ json, epochs: { 1: stage1Config.totalEpochs, 2: stage2Config.totalEpochs } });
    try {
      for await (const event of runner.events()) {
        if (signal.aborted && event.type === "checkpoint" && event.kind === "resume") saved();
        progress.show(event);
      }
    } finally {
      progress.finish();
    }
    printResults(await runner.run(), runner.tree.root, json);
  });
}

function printResults(results: FoldResult[], root: string, json: boolean | undefined): void {
  if (results.some(({ error }) => error !== null)) process.exitCode = 1;
  if (json) {
    process.stdout.write(`${strictJson({ type: "result", path: root, results: toSnake(results) }, 0)}\n`);
    return;
  }
  for (const result of results) {
    const head = results.length > 1 ? `fold ${result.fold}: ` : "";
    if (!result.evaluation) {
      process.stdout.write(`${head}failed, ${result.error?.code}: ${result.error?.message}\n`);
      continue;
    }
    const images = result.evaluatedOn === "training" ? result.trainImages : result.valImages;
    process.stdout.write(`${head}${images} ${result.evaluatedOn} images\n${summaryTable(result.evaluation)}\n`);
    if (result.test) process.stdout.write(`${head}${result.testImages} test images\n${summaryTable(result.test.summary)}\n`);
    process.stdout.write(`model: ${result.finalModelPath}\n`);
  }
  const report = join(root, "results", "report.html");
  if (existsSync(report)) process.stdout.write(`report: ${report}\n`);
  process.stdout.write(`results: ${root}\n`);
}
