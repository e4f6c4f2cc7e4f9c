/** `cellsam slurm` and `cellsam kubernetes`: print what a batch system needs to run another command. */
import { Command } from "commander";
import { type KubernetesOptions, kubernetesJob } from "../batch/kubernetes.js";
import { type SlurmOptions, slurmScript } from "../batch/slurm.js";
import { type BatchCommand, isSharded } from "../batch/words.js";
import { wordsOf } from "../config/pool.js";
import { CellsamError } from "../errors.js";
import { given, integerFlag, repeated } from "./flags.js";

const runnable: Record<BatchCommand, () => Promise<Command>> = {
  train: async () => (await import("./train.js")).trainCommand(),
  search: async () => (await import("./search.js")).searchCommand(),
  predict: async () => (await import("./predict.js")).predictCommand(),
  evaluate: async () => (await import("./evaluate.js")).evaluateCommand(),
};

/** A command whose further words are those of one that cellsam runs. */
function batchCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .argument("<command>", Object.keys(runnable).join(", "))
    .argument("[words...]", "its arguments and options")
    .allowUnknownOption()
    .option("--gpus <n>", "GPUs of each process (1); 0: none", integerFlag)
    .option("--cpus <n>", "CPU cores of each process (8)", integerFlag)
    .option("--at-once <n>", "folds, trials or shards at a time (1; all shards)", integerFlag)
    .option("--shards <n>", "divide the images of predict or evaluate into n shards", integerFlag)
    .option("--warn <seconds>", "time to save before the end (300)", integerFlag)
    .addHelpText("after", `\nThe text goes to stdout: cellsam ${name} train --config first.yaml > job`);
}

export function slurmCommand(): Command {
  const command = batchCommand("slurm", "print a batch script for sbatch that requeues itself until the work is done")
    .option("--time <limit>", "time limit of the job")
    .option("--partition <name>", "partition of the job")
    .option("--account <name>", "account of the job")
    .option("--mem-per-cpu <size>", "memory for each core, e.g. 4G")
    .option("--before <line>", 'shell before the command, e.g. "module load cuda"; repeatable', repeated)
    .option("--program <command>", 'what cellsam is, e.g. "apptainer run --nv cellsam.sif" (this installation)');
  return command.action(async (name: string, words: string[], { program, ...flags }: SlurmOptions & { program?: string }) => {
    await checkWords(name, words, flags);
    const own = program === undefined ? {} : { program: wordsOf(program) };
    process.stdout.write(slurmScript(name as BatchCommand, words, { ...given(flags), ...own }));
  });
}

export function kubernetesCommand(): Command {
  const command = batchCommand("kubernetes", "print the manifest of a Job, with an index for each shard")
    .option("--job-name <name>", "name of the Job (cellsam-COMMAND)")
    .option("--image <image>", "image with cellsam (cellsam-train:VERSION)")
    .option("--claim <name>", "PersistentVolumeClaim with data and output (cellsam-data)")
    .option("--mount <path>", "where it is mounted; relative paths start there (/data)")
    .option("--memory <size>", "memory of each process (32Gi)");
  return command.action(async (name: string, words: string[], flags: KubernetesOptions) => {
    await checkWords(name, words, flags);
    process.stdout.write(kubernetesJob(name as BatchCommand, words, given(flags)));
  });
}

/** Finds what the command would refuse before it waits in a queue. */
async function checkWords(name: string, words: readonly string[], { atOnce, shards }: SlurmOptions): Promise<void> {
  const load = Object.hasOwn(runnable, name) ? runnable[name as BatchCommand] : undefined;
  if (!load)
    throw new CellsamError("ERR_CONFIG", `batch jobs run ${Object.keys(runnable).join(", ")}, not ${name}`, {
      detail: { name },
    });
  const sharded = isSharded(name as BatchCommand);
  if (shards !== undefined && !sharded) throw new CellsamError("ERR_CONFIG", `--shards has no effect with ${name}`);
  if (atOnce !== undefined && sharded && shards === undefined)
    throw new CellsamError("ERR_CONFIG", `--at-once needs --shards with ${name}`);
  for (const [flag, value] of Object.entries({ "--at-once": atOnce, "--shards": shards }))
    if (value !== undefined && value < 1) throw new CellsamError("ERR_CONFIG", `${flag} must be at least 1`);
  const taken = ["--resume", "--shard", "--max-parallel", "--launcher", "--overwrite"].find((flag) => words.includes(flag));
  if (taken) throw new CellsamError("ERR_CONFIG", `leave out ${taken}, which the job sets by itself, or must not have`);
  const command = (await load()).exitOverride().action(() => undefined);
  await command.parseAsync([...words], { from: "user" });
}
