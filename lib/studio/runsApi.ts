/** What studio says of trainings: what they are asked to do, their runs, and comparisons. A part of api.ts. */
import { z } from "zod";
import { count, id, knownRun, runName, time, unit } from "./apiParts.js";

export const trainBodySchema = z.object({
  /** Default: the next free of run-1, run-2, ... */
  name: runName.optional(),
  preset: z.string().max(40).default("tiny"),
  /** Of every stage; default as the preset says. */
  epochs: z.int().min(1).max(100_000).optional(),
  stages: z.union([z.literal(1), z.literal(2), z.literal("both")]).default("both"),
  from: z.enum(["current", "default"]).default("current"),
});
export type TrainBody = z.input<typeof trainBodySchema>;

export const epochSchema = z.object({
  fold: id,
  stage: z.union([z.literal(1), z.literal(2)]),
  epoch: id,
  epochs: id,
  seconds: z.number(),
  lr: z.number(),
  /** Losses by name, `total_loss` the sum; null where no batch had it. */
  train: z.record(z.string(), z.number().nullable()),
  validation: z.record(z.string(), z.number().nullable()).nullable(),
  /** Scores of the validation images by name: f1, ap50, ...; null where the epoch was not evaluated. */
  scores: z.record(z.string(), z.number().nullable()).nullable(),
  /** The best so far. */
  improved: z.boolean(),
});
export type Epoch = z.infer<typeof epochSchema>;

export const runRowSchema = z.object({
  name: z.string(),
  /** `stopped` ones can be resumed. */
  state: z.enum(["running", "finished", "stopped", "failed"]),
  /** Of its last epoch, or null. */
  epoch: epochSchema.nullable(),
  /** Epochs done and planned, all stages and folds; of a finished run both are those that were done. */
  done: count,
  total: count,
  /** When its files were last written. */
  changed: time,
  trainImages: count.nullable(),
  valImages: count.nullable(),
  /** F1 of validation at IoU 0.5 after and before the training; null until they are measured. */
  f1: unit.nullable(),
  f1Before: unit.nullable(),
  report: z.boolean(),
  /** Whether weights are saved that can be used: of a finished run, or of one that was stopped after an epoch. */
  weights: z.boolean(),
  /** Why it failed. */
  message: z.string().nullable(),
});
export type RunRow = z.infer<typeof runRowSchema>;
/** null for one that has no files yet: its training had not begun. */
export const stoppedRunSchema = z.object({ run: runRowSchema.nullable() });
export const runListSchema = z.object({ runs: z.array(runRowSchema) });

export const runSchema = runRowSchema.extend({
  /** As experiment_config.json has it. */
  config: z.record(z.string(), z.unknown()),
  epochs: z.array(epochSchema),
  /** Losses of the steps of the epoch that runs. */
  steps: z.array(
    z.object({ stage: z.union([z.literal(1), z.literal(2)]), epoch: id, step: id, steps: id, loss: z.number().nullable() }),
  ),
});
export type Run = z.infer<typeof runSchema>;

export const runLogSchema = z.object({
  /** The last lines of the log. */
  text: z.string(),
});

export const compareQuerySchema = z.object({ a: knownRun, b: knownRun });
/** As `cellsam compare --json`. */
export const comparisonSchema = z.object({
  a: z.string(),
  b: z.string(),
  folds: z.record(z.string(), z.unknown()).nullable(),
  images: z.record(z.string(), z.unknown()).nullable(),
  notes: z.array(z.string()),
});
export type RunComparison = z.infer<typeof comparisonSchema>;

/** The name of a run, or "default" for the model that the server was started with. */
export const modelBodySchema = z.object({ run: knownRun });

export const runParametersSchema = z.object({ run: knownRun });
