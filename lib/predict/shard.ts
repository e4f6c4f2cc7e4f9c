/** A share of the images of a folder, for processes that divide them. */
import type { PredictInput } from "../config/inference.js";
import { CellsamError } from "../errors.js";

/** Number `index`, from 1, of `count`. */
export interface Shard {
  index: number;
  count: number;
}

/** Every `count`-th image: neighbours, which often are alike, go to different shards. */
export function shareOf<Item>(items: readonly Item[], { index, count }: Shard): Item[] {
  return items.filter((_, i) => i % count === index - 1);
}

/** The settings in which the shards must agree. Where and how fast it computes is for each shard to say. */
export function sharedSettings(input: PredictInput): PredictInput {
  const {
    device: _device,
    threads: _threads,
    priority: _priority,
    ...shared
  } = input as PredictInput & Record<string, unknown>;
  return shared as PredictInput;
}

/** @throws CellsamError ERR_INVALID_ARGUMENT */
export function checkShard({ index, count }: Shard): void {
  const whole = Number.isInteger(index) && Number.isInteger(count);
  if (whole && index >= 1 && index <= count) return;
  throw refused(`shard must be i/n with whole numbers 1 <= i <= n, not ${index}/${count}`);
}

/**
 * The shard of "3/8", or of "auto" or "auto/8": then the number is that of this task of a Slurm array (SLURM_ARRAY_TASK_ID), or
 * of this pod of a Kubernetes Indexed Job (JOB_COMPLETION_INDEX), which does not know how many there are.
 * @throws CellsamError ERR_INVALID_ARGUMENT
 */
export function shardOf(text: string, environment: Record<string, string | undefined> = process.env): Shard {
  const [, number, count] = /^(\d+|auto)(?:\/(\d+))?$/.exec(text.trim()) ?? [];
  if (number === undefined || (number !== "auto" && count === undefined))
    throw refused(`shard must be i/n such as 3/8, auto or auto/n, not ${text}`);
  const shard = number === "auto" ? ofEnvironment(environment, count) : { index: Number(number), count: Number(count) };
  checkShard(shard);
  return shard;
}

function ofEnvironment(environment: Record<string, string | undefined>, count: string | undefined): Shard {
  const value = (name: string) => {
    const text = environment[name];
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  };
  const pod = value("JOB_COMPLETION_INDEX");
  if (pod !== undefined) {
    if (count === undefined) throw refused("shard auto: a Kubernetes Job does not tell how many pods it has; use auto/n");
    return { index: pod + 1, count: Number(count) };
  }
  const task = value("SLURM_ARRAY_TASK_ID");
  if (task === undefined)
    throw refused("shard auto: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set; use i/n outside of such a job");
  const [first = task, last = task, step = 1] = ["MIN", "MAX", "STEP"].map((name) => value(`SLURM_ARRAY_TASK_${name}`));
  const tasks = value("SLURM_ARRAY_TASK_COUNT");
  const all = (last - first) / step + 1;
  // A part of an array that is submitted again does not know how many tasks the whole one had.
  if (count === undefined && tasks !== all)
    throw refused(
      `shard auto: this array has ${tasks} tasks, not all from ${first} to ${last}; use auto/n, with tasks from 1 to n`,
    );
  return count === undefined ? { index: (task - first) / step + 1, count: all } : { index: task, count: Number(count) };
}

function refused(message: string): CellsamError {
  return new CellsamError("ERR_INVALID_ARGUMENT", message);
}
