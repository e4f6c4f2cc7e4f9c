/** The flags of a run, and a run with signals, progress and results, for `train` and `finetune`. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { ExperimentInput } from "../config/experiment.js";
import type { PoolInput } from "../config/pool.js";
import { placeOf } from "../distributed/place.js";
import { readJson, strictJson } from "../files/json.js";
import { fromSnake, toSnake } from "../spelling.js";
import { ExperimentRunner } from "../train/experiment.js";
import type { OutputTree } from "../train/outputTree.js";
import type { aggregateFolds, FoldResult } from "../train/results.js";
import { given, integerFlag } from "./flags.js";
import { outcome } from "./outcome.js";
import { Progress } from "./progress.js";
import { stoppable } from "./stop.js";

export interface RunFlags extends PoolFlags {
  resume?: boolean;
  overwrite?: boolean;
  json?: boolean;
  debug?: boolean;
}

export interface PoolFlags {
  maxParallel?: number;
  devices?: string;
  launcher?: string;
  queue?: string;
}

export function addRunFlags(command: Command): Command {
  return command
    .option("--max-parallel <n>", "folds, or trials, at a time, each in a process of its own (1)", integerFlag)
    .option("--devices <list>", "devices that are assigned to them in turn, e.g. cuda:0,cuda:1")
    .option("--launcher <command>", 'starts each of them elsewhere, e.g. "srun --exact -N1 -n1 --gpus=1" or "ssh node7"')
    .option("--queue <url>", "has `cellsam worker` on any machine do them: a PostgreSQL database, postgres://user@host/name")
    .option("--resume", "continue a stopped or killed run")
    .option("--overwrite", "replace an earlier experiment of the same name")
    .option("--json", "print events and the result as JSON lines on stdout")
    .option("--debug", "log every step; print the stack of errors");
}

/** Where folds or trials are done. */
export function poolInput({ maxParallel, devices, launcher, queue }: PoolFlags): PoolInput {
  return given({ maxParallel, devices: devices?.split(",").map((name) => name.trim()), launcher, queue });
}

/**
 * `notes` are said first, and stand at the beginning of the log. Of several processes that train together, the first one shows
 * the run.
 */
export async function runExperiment(config: ExperimentInput, flags: RunFlags, notes: readonly string[] = []): Promise<void> {
  const { resume = false, overwrite = false, json, debug } = flags;
  const whole = debug ? { ...config, debug } : config;
  const place = config.distributed === "off" ? null : placeOf();
  const work = async (signal: AbortSignal, saved: () => void) => {
    const runner = new ExperimentRunner(whole, { resume, overwrite, signal, notes, ...poolInput(flags) });
    if (place && place.rank > 0) return void (await assist(runner, place.rank));
    for (const note of notes) process.stderr.write(`${note}\n`);
    const { stages, stage1Config, stage2Config } = runner.config;
    const epochs = {
      1: stages.includes(1) ? stage1Config.totalEpochs : 0,
      2: stages.includes(2) ? stage2Config.totalEpochs : 0,
    };
    const progress = new Progress({ json, epochs });
    try {
      for await (const event of runner.events()) {
        if (signal.aborted && event.type === "checkpoint" && event.kind === "resume") saved();
        progress.show(event);
      }
    } finally {
      progress.finish();
    }
    await printResults(await runner.run(), runner.tree, json);
  };
  await stoppable(work, "--resume", place !== null);
}

/** The run in a process that follows another one. */
async function assist(runner: ExperimentRunner, rank: number): Promise<void> {
  for await (const event of runner.events()) {
    if (event.type === "notice") process.stderr.write(`process ${rank}: ${event.level}: ${event.message}\n`);
  }
  if ((await runner.run()).some(({ error }) => error !== null)) process.exitCode = 1;
}

async function printResults(results: FoldResult[], tree: OutputTree, json: boolean | undefined): Promise<void> {
  if (results.some(({ error }) => error !== null)) process.exitCode = 1;
  if (json) {
    process.stdout.write(`${strictJson({ type: "result", path: tree.root, results: toSnake(results) }, 0)}\n`);
    return;
  }
  const aggregated = existsSync(tree.aggregatedResults) ? fromSnake(await readJson(tree.aggregatedResults)) : {};
  const { significanceByImage = null } = aggregated as Partial<ReturnType<typeof aggregateFolds>>;
  process.stdout.write(`${outcome(results, significanceByImage, tree.root)}\n`);
}
