/**
 * The saved state of a run (resume/run.json), by which it continues after it was stopped or killed.
 *
 * The session's state and the best weights are in files with versioned names. run.json names the ones that belong together; it
 * is written after them, and replaced by a rename. Only then are older files removed. A kill between any two writes therefore
 * leaves a run.json whose files all exist.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import type { ExperimentConfig } from "../config/experiment.js";
import type { StageNumber } from "../config/stageOptions.js";
import type { DuplicatePair } from "../data/duplicates.js";
import type { Splits } from "../data/split.js";
import type { Device, Precision } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import type { Evaluation } from "../evaluation/model.js";
import { fileHash } from "../files/fileHash.js";
import { readChecked, writeChecked } from "../files/json.js";
import type { EarlyStoppingState } from "../monitor/earlyStopping.js";
import type { MetricsFile } from "../monitor/metricsTracker.js";
import type { BestCheckpoint } from "./checkpoints.js";
import type { FoldResult, StageResult } from "./results.js";

/** How far a stage is. */
export interface StageProgress {
  stage: StageNumber;
  /** Epochs of the stage that are finished, validation included. */
  epoch: number;
  /** Batches of the next epoch that are finished. */
  step: number;
  /** The session's state in the resume folder; null before the first one. */
  stateFile: string | null;
  best: BestCheckpoint | null;
  earlyStopping: EarlyStoppingState;
  metrics: MetricsFile;
}

/** What a run depends on besides its configuration. */
export interface RunInputs {
  /** Hash of the content of all files and of the settings that cut them into tiles. */
  storeKey: string;
  /** SHA-256 of the weights that the training starts from; null without. */
  weightsHash: string | null;
  /** The device in use, also where the configuration says "auto". */
  device: Device;
  /** The precision in use, likewise; "auto" until it is known, where another process chooses the device. */
  precision: "auto" | Precision;
  /** One training for each. */
  splits: Splits[];
}

export interface RunState extends RunInputs {
  format: 4;
  package: string;
  created: string;
  status: "running" | "finished";
  config: ExperimentConfig;
  /** Counted from 1. */
  fold: number;
  /** Progress of the current stage; null between stages. */
  progress: StageProgress | null;
  /** Finished stages of this fold, by number. */
  stages: Partial<Record<StageNumber, StageResult>>;
  /** Scores of the initial model on this fold's validation images. */
  preeval: Evaluation["summary"] | null;
  /** Pairs of near-duplicates. */
  duplicates: DuplicatePair[];
  /**
   * SHA-256 of the files of images' scores in results/, to which every fold adds, by name: of the present content and, while
   * that is replaced, of the next.
   */
  imageRows: Record<string, string[]>;
  /** Finished folds, and those that failed. */
  results: FoldResult[];
}

export function newRunState(
  config: ExperimentConfig,
  version: string,
  inputs: RunInputs,
  duplicates: DuplicatePair[] = [],
): RunState {
  return {
    format: 4,
    package: version,
    created: new Date().toISOString(),
    status: "running",
    config,
    ...inputs,
    fold: 1,
    progress: null,
    stages: {},
    preeval: null,
    duplicates,
    imageRows: {},
    results: [],
  };
}

/** Settings that may differ when a run is resumed, since the result does not depend on them. */
const harmless = new Set([
  ...["debug", "saveEvery", "evaluateEvery", "outputDir", "priority"],
  ...["featureCache", "featureCacheGb", "featureCacheMemoryGb"],
  ...["distributed", "distributedTimeout"],
]);

/** Dotted names of the settings in which two configurations differ. */
export function changedKeys(before: unknown, after: unknown, prefix = ""): string[] {
  const isGroup = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isGroup(before) || !isGroup(after)) return JSON.stringify(before) === JSON.stringify(after) ? [] : [prefix];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys
    .filter((key) => prefix !== "" || !harmless.has(key))
    .flatMap((key) => changedKeys(before[key], after[key], prefix ? `${prefix}.${key}` : key));
}

/**
 * Reads run.json and checks that it belongs to this configuration and package.
 * @throws CellsamError ERR_RESUME naming the changed keys, or what is missing
 */
export async function readRunState(
  path: string,
  resumeDir: string,
  config: ExperimentConfig,
  version: string,
): Promise<RunState> {
  const refuse = (message: string, detail: Record<string, unknown> = {}) =>
    new CellsamError("ERR_RESUME", `cannot resume from ${path}: ${message}`, { detail: { path, ...detail } });
  const state = await readChecked<RunState>(path).catch((error: Error) => {
    throw refuse(`${error.message}. Restore the file from a copy, or start again with --overwrite`);
  });
  if (state.format !== 4) throw refuse(`its format ${String(state.format)} is not known to this version`);
  if (state.package !== version)
    throw refuse(`it was written by version ${state.package}, this is ${version}; install that version to continue`);
  // The conversion to JSON and back drops undefined values, which the saved configuration does not have.
  const keys = changedKeys(state.config, JSON.parse(JSON.stringify(config)));
  if (keys.length > 0) {
    throw refuse(
      `the configuration has changed since: ${keys.join(", ")}. Restore these settings, or start again with \`overwrite: true\``,
      { keys },
    );
  }
  for (const file of [state.progress?.stateFile, state.progress?.best?.file]) {
    if (file && !existsSync(join(resumeDir, file))) throw refuse(`its file ${file} is missing`);
  }
  return state;
}

const changes: { [Input in keyof RunInputs]: (before: RunInputs[Input], now: RunInputs[Input]) => string } = {
  storeKey: () => "images or masks have changed",
  weightsHash: () => "the content of the weights file has changed",
  device: (before, now) => `device: it ran on ${before}, now it would on ${now}`,
  precision: (before, now) => `precision: it ran in ${before}, now it would in ${now}`,
  splits: () => "splits.json has changed",
};

/**
 * Compares what the run depends on with what is there now.
 * @throws CellsamError ERR_RESUME naming everything that has changed
 */
export function checkInputs(state: RunInputs, now: Partial<RunInputs>): void {
  const inputs = (Object.keys(now) as (keyof RunInputs)[]).filter(
    (input) => JSON.stringify(state[input]) !== JSON.stringify(now[input]),
  );
  if (inputs.length === 0) return;
  const reasons = inputs.map((input) => changes[input](state[input] as never, now[input] as never));
  const message = `cannot resume; since the run was stopped: ${reasons.join("; ")}. Restore it, or start again with \`overwrite: true\``;
  throw new CellsamError("ERR_RESUME", message, { detail: { inputs } });
}

/** Whether this error says that checkInputs found a change. */
export function isChangedInput(error: unknown): boolean {
  return error instanceof CellsamError && error.code === "ERR_RESUME" && "inputs" in error.detail;
}

/** Checks a file of images' scores, to which the folds that are left add. @throws CellsamError ERR_RESUME */
export async function checkImageRows({ imageRows }: RunState, path: string): Promise<void> {
  if (!existsSync(path) || imageRows[basename(path)]?.includes(await fileHash(path))) return;
  const message = `cannot resume: ${path}, with the rows of finished folds, was changed or damaged since it was written. Restore it from a copy, or start again with --overwrite`;
  throw new CellsamError("ERR_RESUME", message, { detail: { path } });
}

export function writeRunState(path: string, state: RunState): Promise<void> {
  return writeChecked(path, state);
}

/** Makes `fold` the current one, at its beginning. */
export function beginFold(state: RunState, fold: number): void {
  Object.assign(state, { fold, progress: null, stages: {}, preeval: null });
}
