/** Settings of a hyper-parameter search: the metric, the number of trials at a time, and which trials end early. */

import type { z } from "zod";
import { once } from "../lazily.js";
import { choice, integer, path, zod } from "./fields.js";
import { parseConfig } from "./parse.js";
import { onePlace, poolFields, withCount } from "./pool.js";

export const pruners = ["none", "asha", "folds"] as const;

/** Settings of a pruner, which have no effect without it. */
const prunerDefaults = { eta: ["asha", 3], minEpochs: ["asha", 1], minFolds: ["folds", 2] } as const;

const name = () =>
  zod()
    .string({ error: "must be a name" })
    .regex(/^[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*$/, { error: "must be a name, or names joined by dots" });

export const searchSchema = once(() =>
  zod()
    .strictObject({
      /** Folder of the search: its files, one experiment per trial, and the tiles that all trials share. */
      outputDir: path(),
      /** The group of a trial's result that holds the metric. */
      metricName: name().default("best_f1"),
      metricKey: name().default("f1"),
      /** Whether the highest or the lowest value wins; unset: "min" for losses, else "max". */
      mode: choice(["max", "min"]).optional(),
      /** Seed of random search; unset: that of the base configuration. */
      seed: integer(0, 2 ** 32 - 1).optional(),
      /** More trials than this are refused. */
      maxTrials: integer(1).default(256),
      /** Rule by which trials end early: "asha" after epochs, "folds" after folds. */
      pruner: choice(pruners).default("none"),
      /** Of asha: one of `eta` trials that reach a rung continues, and the epochs of rungs grow by the factor `eta`. */
      eta: integer(2).default(prunerDefaults.eta[1]),
      /** Of asha: epochs of a stage before its first rung. */
      minEpochs: integer(1).default(prunerDefaults.minEpochs[1]),
      /** Of folds: the number of folds that a trial finishes before it can end early. */
      minFolds: integer(2).default(prunerDefaults.minFolds[1]),
      ...poolFields(),
      /** Number of the best trials that the results list. */
      topK: integer(1).default(10),
    })
    .superRefine((options, context) => {
      onePlace(options, context);
      for (const [key, [pruner, value]] of Object.entries(prunerDefaults)) {
        if (options.pruner !== pruner && options[key as keyof typeof prunerDefaults] !== value)
          context.addIssue({ code: "custom", path: [key], message: `has no effect without pruner: ${pruner}` });
      }
    })
    .transform(
      (options) =>
        ({ ...withCount(options), mode: options.mode ?? (/loss/i.test(options.metricKey) ? "min" : "max") }) as const,
    ),
);

export type SearchOptions = z.output<ReturnType<typeof searchSchema>>;
export type SearchInput = z.input<ReturnType<typeof searchSchema>>;

/** @throws CellsamError ERR_CONFIG */
export function searchOptions(input: unknown): SearchOptions {
  return parseConfig("HyperparameterOptimizer", searchSchema(), input);
}
