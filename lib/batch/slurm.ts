/**
 * Writes batch scripts for Slurm that are stopped and go on by themselves: shortly before its time limit the script gets TERM and
 * passes it on, cellsam saves and exits with 75, and the script puts its job back into the queue.
 */
import { packageVersion } from "../version.js";
import { type BatchCommand, isSharded, ownProgram, quoted } from "./words.js";

export interface SlurmOptions {
  /** Time limit of the job, as Slurm writes it. Default: that of the partition. */
  time?: string;
  partition?: string;
  account?: string;
  /** GPUs of each process. Default 1; 0 is a job without GPU. */
  gpus?: number;
  /** CPU cores of each process. Default 8. */
  cpus?: number;
  /** Memory for each of these cores, such as "4G". Default: that of the partition. */
  memPerCpu?: string;
  /** Folds, trials or shards at a time. Default 1; of shards all. */
  atOnce?: number;
  /** Into how many shards predict and evaluate are divided. Default 1. */
  shards?: number;
  /** Seconds before the time limit at which the script is told. Default 300. */
  warn?: number;
  /** Lines of shell before the command, such as "module load cuda". */
  before?: readonly string[];
  /** Words of the command that is cellsam. Default: this installation. */
  program?: readonly string[];
}

/** The script of `cellsam COMMAND WORDS`. */
export function slurmScript(command: BatchCommand, words: readonly string[], options: SlurmOptions = {}): string {
  const { time, partition, account, gpus = 1, cpus = 8, memPerCpu, shards = 1, warn = 300, before = [] } = options;
  const sharded = isSharded(command);
  const atOnce = options.atOnce ?? 1;
  const tasks = sharded ? 1 : atOnce;
  const array = sharded && shards > 1 ? `1-${shards}${options.atOnce ? `%${options.atOnce}` : ""}` : undefined;
  const directives: (string | false | undefined)[] = [
    `job-name=cellsam-${command}`,
    partition && `partition=${partition}`,
    account && `account=${account}`,
    time && `time=${time}`,
    array && `array=${array}`,
    `ntasks=${tasks}`,
    `cpus-per-task=${cpus}`,
    gpus > 0 && `gpus-per-task=${gpus}`,
    memPerCpu && `mem-per-cpu=${memPerCpu}`,
    `signal=B:TERM@${warn}`,
    "requeue",
    "open-mode=append",
    `output=cellsam-${command}-${array ? "%A_%a" : "%j"}.log`,
  ];
  const step = [
    ...["srun", "--exact", "--nodes=1", "--ntasks=1", "--kill-on-bad-exit=1", `--cpus-per-task=${cpus}`],
    ...(gpus > 0 ? [`--gpus-per-task=${gpus}`] : []),
  ];
  const own = [...(options.program ?? ownProgram()), command, ...words, "--resume"].map(quoted);
  // The number of the task and not "auto": a part of the array that is submitted again has the same shards.
  if (array) own.push("--shard", `"$SLURM_ARRAY_TASK_ID/${shards}"`);
  else if (tasks > 1) own.push("--max-parallel", String(tasks), "--launcher", quoted(step.join(" ")));
  return `#!/bin/bash
# Written by cellsam-train ${packageVersion}: cellsam slurm ${[command, ...words].map(quoted).join(" ")}
${directives
  .filter(Boolean)
  .map((line) => `#SBATCH --${line}`)
  .join("\n")}

set -u
cd "$SLURM_SUBMIT_DIR" || exit 1
${before.map((line) => `${line}\n`).join("")}
# In the background: bash looks at signals only while it waits. It gets TERM ${warn} s before the time limit.
${own.join(" ")} &
process=$!
code=127
interrupted=yes
trap 'interrupted=yes; kill -TERM "$process" 2>/dev/null' TERM
while [ "$interrupted" = yes ]; do
  interrupted=no
  wait "$process"
  status=$?
  [ "$status" = 127 ] || code=$status
done

# 75: stopped and saved. The job goes back into the queue and continues where it was.
if [ "$code" = 75 ]; then
  echo "cellsam has saved; requeueing job $SLURM_JOB_ID (restart $((\${SLURM_RESTART_COUNT:-0} + 1)))"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
`;
}
