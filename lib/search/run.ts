/**
 * Runs the trials of a search, several at a time, each in a process of its own, and records how each ended before the next one
 * starts. A trial that ran when the search was stopped or killed continues from what it has saved.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ExperimentInput } from "../config/experiment.js";
import type { SearchOptions } from "../config/search.js";
import { type Failure, isMachineFault } from "../errors.js";
import { readJson } from "../files/json.js";
import type { Log } from "../monitor/log.js";
import { isRunning } from "../pool/processMark.js";
import { inSlots, stoppedTogether } from "../pool/slots.js";
import type { Worker, WorkerEnd } from "../pool/worker.js";
import type { Workers } from "../pool/workers.js";
import { openWorkers } from "../queue/workers.js";
import { isLocked } from "../train/lock.js";
import { OutputTree } from "../train/outputTree.js";
import type { SearchEvent } from "./events.js";
import type { CheckLine, EndLine, Journal, Line, RunningLine } from "./journal.js";
import type { TrialReport } from "./messages.js";
import { availableMetrics, type FoldRecord, foldMetric, metricPath, trialMetric } from "./metric.js";
import type { Pruner } from "./pruner.js";
import { bestOf, lossHistory, reachedIn } from "./results.js";
import type { SearchTree } from "./searchTree.js";
import type { Trial } from "./trials.js";

const logger = "cellsam.search";
/** The longest time that a trial takes to finish its step and save after its search ended. */
const longestSaveMs = 5 * 60_000;

type RunningTrial = Worker<ExperimentInput, FoldRecord[]>;
type TrialEnd = WorkerEnd<FoldRecord[]>;

export interface SearchRun {
  tree: SearchTree;
  trials: readonly Trial[];
  options: SearchOptions;
  /** Compute threads of each trial. */
  threads: number;
  /** Program of a trial's process, in place of the package's own. */
  program: string | undefined;
  journal: Journal;
  /** Runs every failed trial of an earlier run of the search again. */
  retryFailed: boolean;
  /** The content of the journal when the search began. */
  lines: readonly Line[];
  pruner: Pruner | null;
  log: Log;
  emit: (event: SearchEvent) => void;
  signal: AbortSignal | undefined;
}

/**
 * Resolves with the end of every trial.
 * @throws the signal's reason when it fires, after all trials have saved; CellsamError ERR_QUEUE
 */
export async function runTrials(run: SearchRun): Promise<Map<number, EndLine>> {
  const workers = await openWorkers(run.options, (message) => {
    run.log.warning(logger, message);
    run.emit({ type: "notice", level: "warning", message });
  });
  return new Pool(run, workers).run().finally(() => workers.close());
}

class Pool {
  readonly #run: SearchRun;
  readonly #workers: Workers;
  readonly #ended = new Map<number, EndLine>();
  readonly #running = new Map<number, RunningTrial>();
  /** Trials that an earlier run of the search has started, with the devices on which they must continue. */
  readonly #started = new Map<number, RunningLine>();
  readonly #pruned = new Set<number>();
  /** The first trial makes the tiles that most trials share; the others wait for it. */
  readonly #ready: Promise<void>;
  #setReady: () => void = () => undefined;

  constructor(run: SearchRun, workers: Workers) {
    this.#run = run;
    this.#workers = workers;
    this.#ready = new Promise((resolve) => {
      this.#setReady = resolve;
    });
  }

  async run(): Promise<Map<number, EndLine>> {
    const { options, trials, signal } = this.#run;
    await this.#restoreEarlier();
    const open = trials.filter(({ trialId }) => !this.#ended.has(trialId));
    const first = open.filter(({ trialId }) => this.#started.has(trialId));
    const queue = [...first, ...open.filter((trial) => !first.includes(trial))];
    const begunOn = ({ trialId }: Trial) => this.#started.get(trialId)?.device;
    const work = (trial: Trial, device = trial.config.device) => this.#trial(trial, device);
    const stop = () => {
      this.#setReady();
      for (const trial of this.#running.values()) trial.stop();
    };
    // What is thrown: the journal cannot be written, and without it no trial may run.
    await inSlots({ queue, slots: options, begunOn, work, stop, ready: this.#ready, signal });
    if (this.#ended.size < trials.length) signal?.throwIfAborted();
    return this.#ended;
  }

  /** Restores what earlier runs of the search have done. */
  async #restoreEarlier(): Promise<void> {
    const { lines, pruner, trials, tree, emit, signal, log } = this.#run;
    const known = new Set(trials.map(({ trialId }) => trialId));
    for (const line of lines) {
      if (!known.has(line.trial_id)) continue;
      if (line.state === "running") this.#started.set(line.trial_id, line);
      else if (line.state === "check") this.#restore(line);
      else if (this.#repeats(line)) this.#ended.delete(line.trial_id);
      else this.#ended.set(line.trial_id, line);
    }
    for (const line of this.#ended.values()) {
      this.#started.delete(line.trial_id);
      this.#pruned.delete(line.trial_id);
      if (line.state === "completed") pruner?.completed(line.trial_id, this.#perFold(line));
    }
    for (const [trialId, { process: mark }] of this.#started) {
      // On another machine only the lock of its experiment tells, which it renews.
      const runs = async () => (mark && isRunning(mark)) ?? (await isLocked(tree.root, tree.trialName(trialId)));
      if (!(await runs())) continue;
      const who = mark ? `process ${mark.pid} on ${mark.host}` : "a worker of the queue";
      const message = `trial ${trialId} of the earlier search is still saving (${who}); waiting for it`;
      log.warning(logger, message);
      emit({ type: "notice", level: "warning", message, trialId });
      // Where start times are not known, it may be another process that has the number by now, and might never end.
      const until = mark?.started === null ? Date.now() + longestSaveMs : Number.POSITIVE_INFINITY;
      while ((await runs()) && Date.now() < until)
        await sleep(100, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
    }
    for (const trial of trials) {
      if (this.#pruned.has(trial.trialId)) await this.#end(trial, { state: "stopped" }, 0);
    }
  }

  /** A trial is run again where the machine and not the trial need be the cause of its failure, and others on request. */
  #repeats({ state, crashed, error }: EndLine): boolean {
    if (state !== "failed") return false;
    return this.#run.retryFailed || crashed === true || (error !== undefined && isMachineFault(error));
  }

  #restore({ trial_id, check, value, keep }: CheckLine): void {
    this.#run.pruner?.restore(trial_id, { check, value, keep });
    if (!keep) this.#pruned.add(trial_id);
  }

  #perFold({ results }: EndLine): (number | null)[] {
    const { metricName, metricKey } = this.#run.options;
    const values: (number | null)[] = [];
    for (const [i, fold] of results.entries())
      values[((fold.fold as number | undefined) ?? i + 1) - 1] = foldMetric(fold, metricPath(metricName, metricKey));
    return Array.from(values, (value) => value ?? null);
  }

  async #trial(trial: Trial, device: string): Promise<void> {
    const { journal, log, program, tree, threads, signal } = this.#run;
    const { trialId, hyperparameters } = trial;
    const process: RunningTrial = this.#workers.start<ExperimentInput, TrialReport, FoldRecord[]>({
      name: "trial",
      program,
      writes: resolve(tree.root, tree.trialName(trialId)),
      onReport: (report) => this.#onReport(trial, process, report),
    });
    this.#running.set(trialId, process);
    try {
      await journal.append({ trial_id: trialId, state: "running", device, process: process.mark });
      process.begin({ ...trial.config, outputDir: tree.root, outputName: tree.trialName(trialId), device, threads });
      if (signal?.aborted) process.stop();
      if (await process.begun) {
        log.info(logger, `trial ${trialId} begins on ${device}: ${JSON.stringify(hyperparameters)}`);
        this.#emitTrial(trial, "begin", null, 0);
      }
      const begun = Date.now();
      const end = await process.end;
      // Stopped together with the search: the trial has saved, and continues when the search is resumed.
      if (end.state === "stopped" && !this.#pruned.has(trialId) && (await stoppedTogether(signal))) return;
      await this.#end(trial, end, (Date.now() - begun) / 1000);
    } finally {
      this.#running.delete(trialId);
      process.stop();
      this.#setReady();
    }
  }

  #onReport(trial: Trial, process: RunningTrial, report: TrialReport): void {
    const { pruner, journal, log, emit } = this.#run;
    const { trialId } = trial;
    if (report.type === "training") this.#setReady();
    if (report.type === "notice") {
      log.warning(logger, `trial ${trialId}: ${report.message}`);
      emit({ type: "notice", level: "warning", message: `trial ${trialId}: ${report.message}`, trialId });
    }
    if (report.type === "epoch") emit({ ...report, type: "trialEpoch", trialId });
    if (report.type !== "epoch" && report.type !== "fold") return;
    const judgement = pruner?.judge(trialId, report);
    if (!judgement) return;
    const { check, value, keep } = judgement;
    log.info(logger, `trial ${trialId} ${check}: ${value}, ${keep ? "continues" : "ends early"}`);
    if (!keep) this.#pruned.add(trialId);
    // Lines are written in the order of the decisions, before the last line of the trial, which also reports an error of
    // writing.
    journal.append({ trial_id: trialId, state: "check", check, value, keep }).then(
      () => keep || process.stop(),
      () => process.stop(),
    );
  }

  async #end(trial: Trial, end: TrialEnd, seconds: number): Promise<void> {
    const line = await this.#lineOf(trial, end, seconds);
    await this.#run.journal.append(line);
    this.#ended.set(trial.trialId, line);
    if (line.state === "completed") this.#run.pruner?.completed(trial.trialId, this.#perFold(line));
    const how = line.state === "completed" ? `${line.metric_value}` : (line.error?.message ?? "");
    this.#run.log[line.state === "failed" ? "error" : "info"](logger, `trial ${trial.trialId} ${line.state} ${how}`.trimEnd());
    this.#emitTrial(trial, line.state, line.metric_value, seconds, line.error);
  }

  async #lineOf(trial: Trial, end: TrialEnd, seconds: number): Promise<EndLine> {
    const { tree } = this.#run;
    const { metricName, metricKey } = this.#run.options;
    const results = end.state === "done" ? end.result : [];
    const own = new OutputTree(tree.root, tree.trialName(trial.trialId));
    const state = existsSync(own.runState) ? await readJson<{ splits?: unknown[] }>(own.runState).catch(() => null) : null;
    const history = await lossHistory(own, results, state?.splits?.length ?? 1);
    const line = { trial_id: trial.trialId, metric_value: null, results, history, seconds };
    const broken = results.map(({ error }) => error as Failure | null).find((error) => error && isMachineFault(error));
    if (broken) return { ...line, state: "failed", reached: null, error: broken };
    if (end.state === "done") {
      const metric = trialMetric(results, metricName, metricKey);
      if (metric !== null) return { ...line, state: "completed", metric_value: metric, reached: null };
      const there = availableMetrics(results).join(", ") || "none";
      const message = `the results have no finite number ${metricName}.${metricKey}; they have ${there}`;
      return { ...line, state: "failed", reached: null, error: { code: "ERR_NO_METRIC", message } };
    }
    const reached = reachedIn(history);
    if (end.state === "failed")
      return { ...line, state: "failed", reached, error: end.error, ...(end.crashed && { crashed: true }) };
    if (this.#pruned.has(trial.trialId)) return { ...line, state: "pruned", reached };
    const error: Failure = { code: "ERR_TRIAL_DIED", message: "the trial's process was stopped from outside" };
    return { ...line, state: "failed", reached, error, crashed: true };
  }

  #emitTrial(
    trial: Trial,
    state: "begin" | EndLine["state"],
    metricValue: number | null,
    seconds: number,
    error?: EndLine["error"],
  ): void {
    const { trialId, hyperparameters } = trial;
    const best = bestOf(this.#ended.values(), this.#run.options.mode);
    this.#run.emit({
      type: "trial",
      trialId,
      trials: this.#run.trials.length,
      state,
      hyperparameters,
      metricValue,
      bestTrial: best?.trial_id ?? null,
      bestMetricValue: best?.metric_value ?? null,
      ended: this.#ended.size,
      seconds,
      ...(error && { error }),
    });
  }
}
