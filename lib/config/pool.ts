/** Settings of how many folds or trials run at a time, and where. No result depends on them. */
import type { z } from "zod";
import { once } from "../lazily.js";
import { integer, zod } from "./fields.js";
import { parseConfig } from "./parse.js";

/** Where the folds of a run, or the trials of a search, are done. */
export interface PoolInput {
  /** Folds, or trials, at a time, each in a process of its own. Default: one for each of `devices`, else 1. */
  maxParallel?: number | undefined;
  /** Devices that are assigned to them in turn, e.g. ["cuda:0", "cuda:1"]. Default: that of the configuration. */
  devices?: readonly string[] | undefined;
  /**
   * A command that starts another one elsewhere, such as "srun -n1 --gpus=1" or "ssh node7": its words, or a text with spaces
   * between them. Every fold or trial is started by it. Default: they are processes of this machine.
   */
  launcher?: string | readonly string[] | undefined;
  /**
   * A database of PostgreSQL, such as postgres://user@host/name, from which `cellsam worker` on any machine takes folds or trials.
   * Needs the packages bullmq and pg. In place of `devices` and `launcher`; `maxParallel` is then how many may be done at a time,
   * default all.
   */
  queue?: string | undefined;
}

const mostParallel = 256;

/** Fields of the settings of a search, and of the options of a run: those of PoolInput. */
export function poolFields() {
  const device = zod()
    .string()
    .regex(/^(cpu|cuda(:\d+)?)$/, { error: "must be cpu, cuda or cuda:N" });
  const words = [zod().string(), zod().array(zod().string()).readonly()] as const;
  return {
    maxParallel: integer(1, mostParallel).optional(),
    devices: zod().array(device, { error: "must be a list of devices" }).readonly().default([]),
    launcher: zod()
      .union(words, { error: "must be a command: a text, or a list of its words" })
      .default([])
      .transform((launcher) => (typeof launcher === "string" ? wordsOf(launcher) : launcher)),
    queue: zod()
      .string()
      .regex(/^postgres(ql)?:\/\//, { error: "must be the URL of a database, such as postgres://user@host/name" })
      .optional(),
  };
}

const poolSchema = once(() => zod().strictObject(poolFields()).superRefine(onePlace));

/** A queue's workers choose machine and device by themselves. */
export function onePlace({ devices, launcher, queue }: Omit<Slots, "maxParallel">, context: z.RefinementCtx): void {
  if (queue === undefined || (devices.length === 0 && launcher.length === 0)) return;
  context.addIssue({ code: "custom", path: ["queue"], message: "is in place of devices and launcher: give one of them" });
}

/** How many at a time, and where. */
export interface Slots {
  maxParallel: number;
  devices: readonly string[];
  launcher: readonly string[];
  queue?: string | undefined;
}

/** Whether other machines than this one do the work. */
export function isElsewhere({ launcher, queue }: Pick<Slots, "launcher" | "queue">): boolean {
  return launcher.length > 0 || queue !== undefined;
}

/** @throws CellsamError ERR_CONFIG */
export function poolSlots(input: PoolInput): Slots {
  return withCount(parseConfig("ExperimentRunner", poolSchema(), input));
}

/** The options with the number that is in force. */
export function withCount<Options extends Omit<Slots, "maxParallel"> & { maxParallel?: number | undefined }>(options: Options) {
  const usual = options.queue === undefined ? Math.max(1, options.devices.length) : mostParallel;
  return { ...options, maxParallel: options.maxParallel ?? usual };
}

/** The words of a command, of which those in quotes hold spaces. There are no other rules: no shell reads them. */
export function wordsOf(command: string): string[] {
  return [...command.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g)].map(([word]) => word.replaceAll(/["']/g, ""));
}
