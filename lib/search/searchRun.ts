/** Runs a search: its trials in processes of their own, their ranking, the files and the report. */
import type { ExperimentConfig } from "../config/experiment.js";
import type { SearchOptions } from "../config/search.js";
import { type HyperparameterSpace, parametersOf } from "../config/space.js";
import { CellsamError } from "../errors.js";
import { writeJson } from "../files/json.js";
import { Log } from "../monitor/log.js";
import { threadShare } from "../pool/threads.js";
import { writeSearchReport } from "../report/searchReport.js";
import { packageVersion } from "../version.js";
import { configuredPruner } from "./configuredPruner.js";
import type { SearchEvent } from "./events.js";
import { Journal } from "./journal.js";
import { type SearchResult, searchResult } from "./results.js";
import { runTrials } from "./run.js";
import { type SearchPlan, SearchTree } from "./searchTree.js";
import type { TrialList } from "./trials.js";

const logger = "cellsam.search";

export interface SearchRunOptions {
  /**
   * Continues a stopped or killed search, or starts one where there is none. A random search may have more trials than before.
   * Default false.
   */
  resume?: boolean;
  /**
   * With `resume`: runs all failed trials again, not only those that failed for the machine's sake (no space, no memory,
   * killed). Default false.
   */
  retryFailed?: boolean;
  /** Replaces an earlier search in the same folder. Default false. */
  overwrite?: boolean;
  /** Aborting lets all trials save, and rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Program of a trial's process, in place of the package's own: it gets and answers lines of JSON (lib/pool/messages.ts). */
  trialProgram?: string;
}

export interface Search extends SearchRunOptions {
  kind: SearchPlan["kind"];
  baseConfig: ExperimentConfig;
  paramSpace: HyperparameterSpace;
  options: SearchOptions & { seed: number };
  emit: (event: SearchEvent) => void;
}

export async function runSearch(search: Search, { trials, notes }: TrialList): Promise<SearchResult> {
  const { baseConfig, paramSpace, options, emit, signal, trialProgram, retryFailed = false } = search;
  signal?.throwIfAborted();
  if (trialProgram && options.queue)
    throw new CellsamError("ERR_INVALID_ARGUMENT", "trialProgram cannot be used with queue: its workers run the package's own");
  const parameters = parametersOf(paramSpace);
  const paths = parameters.map(({ path }) => path);
  const pruner = configuredPruner(options, baseConfig.strategy, paths);
  const tree = new SearchTree(options.outputDir, baseConfig.outputName);
  await tree.claim();
  let journal: Journal | undefined;
  try {
    const plan = await tree.open(planOf(search), search);
    const opened = await Journal.open(tree.journal);
    journal = opened.journal;
    const log = new Log(tree.log, "INFO", (path, { message }) => {
      emit({ type: "notice", level: "warning", message: `${path} is not written any longer (${message})` });
    });
    const going = opened.lines.length > 0 ? "resumed" : "started";
    log.info(
      logger,
      `${search.kind} search ${going}: ${trials.length} trials, ${options.maxParallel} at a time, ${options.metricName}.${options.metricKey} (${options.mode}), version ${packageVersion}`,
    );
    if (pruner) log.info(logger, pruner.rule);
    for (const message of [...notes, ...(pruner?.notes ?? [])]) {
      log.warning(logger, message);
      emit({ type: "notice", level: "warning", message });
    }
    const run = { tree, trials, options, threads: plan.threads, program: trialProgram, journal, lines: opened.lines };
    const ended = await runTrials({ ...run, retryFailed, pruner, log, emit, signal }).catch((error: unknown) => {
      if (signal?.aborted) log.info(logger, "search stopped; it can be resumed");
      else log.error(logger, error instanceof Error ? (error.stack ?? error.message) : String(error));
      throw error;
    });
    const named = trials.map((trial) => ({
      ...trial,
      config: { ...trial.config, outputName: tree.trialName(trial.trialId) },
    }));
    const names = parameters.map(({ name }) => name);
    const result = searchResult(named, ended, options, names, pruner?.rule ?? null);
    await writeJson(tree.results, result);
    await writeJson(tree.best, result.best_trial.hyperparameters);
    await writeSearchReport(tree.root).catch((error: Error) =>
      log.warning(logger, `the report could not be written: ${error.message}`),
    );
    log.info(logger, `finished: trial ${result.best_trial.trial_id} is the best with ${result.best_metric_value}`);
    return result;
  } finally {
    await journal?.close();
    await tree.release();
  }
}

function planOf({ kind, baseConfig, paramSpace, options }: Search): SearchPlan {
  const { metricName, metricKey, mode, seed, pruner, eta, minEpochs, minFolds, outputDir } = options;
  // The number is saved, so that all trials compute in the same way.
  const share = threadShare(options);
  const ranking = { metricName, metricKey, mode, seed, pruner, eta, minEpochs, minFolds };
  const search = { baseConfig: { ...baseConfig, outputDir }, paramSpace, ...ranking };
  return { format: 1, package: packageVersion, kind, threads: baseConfig.threads || share, search };
}
