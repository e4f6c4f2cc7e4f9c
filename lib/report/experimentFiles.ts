/** Reads the files of an experiment, finished or not; files that do not exist yet are treated as empty. */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CellsamError } from "../errors.js";

export type Json = Record<string, unknown>;

export interface StageFiles {
  fold: number;
  stage: 1 | 2;
  train: Record<string, (number | null)[]>;
  val: Record<string, (number | null)[]>;
  bestEpoch: number | undefined;
}

export interface Picture {
  fold: number;
  name: string;
  path: string;
}

export interface ExperimentFiles {
  config: Json;
  results: Json[];
  aggregated: Json;
  /** Scores before training, one entry per fold. */
  preeval: Json[];
  /** Pairs of near-duplicates. */
  duplicates: Json[];
  images: Json[];
  splits: Json[];
  stages: StageFiles[];
  pictures: Picture[];
  warnings: string[];
}

/** @throws CellsamError ERR_CONFIG when the folder holds no experiment */
export async function readExperiment(folder: string): Promise<ExperimentFiles> {
  const config = await json<Json>(join(folder, "experiment_config.json"));
  if (!config) {
    const message = `${folder} holds no experiment_config.json; give the folder of an experiment`;
    throw new CellsamError("ERR_CONFIG", message, { detail: { folder } });
  }
  const results = join(folder, "results");
  const list = (value: Json | Json[] | undefined) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
  const log = existsSync(join(folder, "logs", "experiment.log"))
    ? await readFile(join(folder, "logs", "experiment.log"), "utf8")
    : "";
  return {
    config,
    results: list(await json<Json[]>(join(results, "individual_results.json"))),
    aggregated: (await json<Json>(join(results, "aggregated_results.json"))) ?? {},
    preeval: list(await json<Json | Json[]>(join(results, "preeval_results.json"))),
    duplicates: ((await json<{ pairs?: Json[] }>(join(results, "near_duplicates.json")))?.pairs ?? []) as Json[],
    images: list(await json<Json[]>(join(results, "per_image.json"))),
    splits: list(await json<Json | Json[]>(join(folder, "splits.json"))),
    stages: await stages(join(folder, "metrics")),
    pictures: await pictures(results),
    warnings: [...log.matchAll(/^\S+ \S+ - (\S+) - WARNING - (.*)$/gm)].map(([, , message]) => message as string),
  };
}

async function json<T>(path: string): Promise<T | undefined> {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (cause) {
    throw new CellsamError("ERR_FILE", `${path} is not JSON (${(cause as Error).message})`, { detail: { path }, cause });
  }
}

/** Reads metrics/stageN_metrics.json of a single training, or those in metrics/fold_K/ of several. */
async function stages(folder: string): Promise<StageFiles[]> {
  const found: StageFiles[] = [];
  for (const { fold, path } of [{ fold: 1, path: folder }, ...(await folds(folder))]) {
    for (const stage of [1, 2] as const) {
      const file = await json<{
        history: Record<string, StageFiles["train"]>;
        best_epochs?: Record<string, Record<string, number>>;
      }>(join(path, `stage${stage}_metrics.json`));
      if (!file) continue;
      const { train = {}, val = {} } = file.history;
      found.push({ fold, stage, train, val, bestEpoch: file.best_epochs?.val?.total_loss });
    }
  }
  return found;
}

async function folds(folder: string): Promise<{ fold: number; path: string }[]> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  return names
    .flatMap((name) => /^fold_(\d+)$/.exec(name) ?? [])
    .filter((part) => /^\d+$/.test(part))
    .map((part) => ({ fold: Number(part), path: join(folder, `fold_${part}`) }))
    .sort((a, b) => a.fold - b.fold);
}

async function pictures(results: string): Promise<Picture[]> {
  const found: Picture[] = [];
  for (const { fold, path } of await folds(results)) {
    const folder = join(path, "visualizations");
    const names = existsSync(folder) ? (await readdir(folder)).sort() : [];
    for (const name of names) if (/^(best|worst)_\d+_.*\.png$/.test(name)) found.push({ fold, name, path: join(folder, name) });
  }
  return found;
}
