/** Settings of how many folds or trials run at a time, and where. No result depends on them. */
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
}

/** Fields of the settings of a search, and of the options of a run: those of PoolInput. */
export function poolFields() {
  const device = zod()
    .string()
    .regex(/^(cpu|cuda(:\d+)?)$/, { error: "must be cpu, cuda or cuda:N" });
  const words = [zod().string(), zod().array(zod().string()).readonly()] as const;
  return {
    maxParallel: integer(1, 256).optional(),
    devices: zod().array(device, { error: "must be a list of devices" }).readonly().default([]),
    launcher: zod()
      .union(words, { error: "must be a command: a text, or a list of its words" })
      .default([])
      .transform((launcher) => (typeof launcher === "string" ? wordsOf(launcher) : launcher)),
  };
}

const poolSchema = once(() => zod().strictObject(poolFields()));

/** How many at a time, and where. */
export interface Slots {
  maxParallel: number;
  devices: readonly string[];
  launcher: readonly string[];
}

/** @throws CellsamError ERR_CONFIG */
export function poolSlots(input: PoolInput): Slots {
  return withCount(parseConfig("ExperimentRunner", poolSchema(), input));
}

/** The options with the number that is in force. */
export function withCount<Options extends { maxParallel?: number | undefined; devices: readonly string[] }>(options: Options) {
  return { ...options, maxParallel: options.maxParallel ?? Math.max(1, options.devices.length) };
}

/** The words of a command, of which those in quotes hold spaces. There are no other rules: no shell reads them. */
export function wordsOf(command: string): string[] {
  return [...command.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g)].map(([word]) => word.replaceAll(/["']/g, ""));
}
