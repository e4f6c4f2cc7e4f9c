/**
 * Records the events of a run: each goes to the caller, to logs/events.jsonl and to TensorBoard, and a notice also to
 * logs/experiment.log. Events that occur before there is an output folder are kept until `open`.
 */
import { dirname, join } from "node:path";
import type { ExperimentConfig } from "../config/experiment.js";
import { emptyDeviceCache } from "../engine/native.js";
import type { TrainingEvent } from "../events.js";
import { EventLog } from "../monitor/eventLog.js";
import { type Level, Log } from "../monitor/log.js";
import { memoryLines, memoryStats } from "../monitor/memory.js";
import { Curves } from "./curves.js";
import type { OutputTree } from "./outputTree.js";

const logger = "cellsam.runner";

interface Files {
  log: Log;
  events: EventLog | null;
  curves: Curves | null;
}

export class RunRecord {
  readonly #config: ExperimentConfig;
  readonly #tree: OutputTree;
  readonly #caller: (event: TrainingEvent) => void;
  readonly #device: string;
  readonly #part: boolean;
  #files: Files | undefined;
  #early: TrainingEvent[] = [];
  readonly #unwritten = new Set<string>();

  /** @param part the record of a fold whose events another process keeps: only its log is written */
  constructor(config: ExperimentConfig, tree: OutputTree, caller: (event: TrainingEvent) => void, part = false) {
    this.#config = config;
    this.#tree = tree;
    this.#caller = caller;
    this.#part = part;
    this.#device = config.device === "auto" ? "cuda" : config.device;
  }

  /** Undefined before `open`. */
  get log(): Log | undefined {
    return this.#files?.log;
  }

  /** Opens the files and writes the events so far; does nothing when called again. */
  open(): Log {
    if (this.#files) return this.#files.log;
    const { debug, eventFreq, logFreq, tensorboard } = this.#config;
    const folder = dirname(this.#tree.log);
    const { ended } = this;
    const log = new Log(this.#tree.log, debug ? "DEBUG" : "INFO", ended);
    const events = this.#part ? null : new EventLog(this.#tree.events, { every: eventFreq, onFailure: ended });
    const curves = tensorboard && !this.#part ? new Curves(join(folder, "tensorboard"), logFreq, ended) : null;
    this.#files = { log, events, curves };
    for (const event of this.#early.splice(0)) this.#write(event, this.#files);
    return log;
  }

  readonly emit = (event: TrainingEvent): void => {
    if (this.#files) this.#write(event, this.#files);
    else if (event.type !== "progress" || event.done === event.total) this.#early.push(event);
    this.#caller(event);
  };

  readonly warn = (message: string): void => {
    this.emit({ type: "notice", level: "warning", message });
  };

  /**
   * Waits for the write of a file that training does not need. Where it fails, as on a full disk, a notice says so, once a
   * file, and the run goes on.
   */
  readonly writeIfPossible = async (path: string, writing: Promise<unknown>): Promise<void> => {
    await writing.catch((error: Error) => {
      // An error without a code is a fault of this program.
      if (!("code" in error)) throw error;
      if (!this.#unwritten.has(path)) this.ended(path, error);
      this.#unwritten.add(path);
    });
  };

  /** Says that a file which training does not need cannot be written. */
  readonly ended = (path: string, error: Error): void => {
    this.warn(`${path} is not written any longer (${error.message}); training goes on without it`);
  };

  /** Logs the memory of machine and GPU. */
  logMemory(label: string, level: Level = "INFO"): void {
    for (const line of memoryLines(label, memoryStats(this.#device))) this.log?.write(level, "cellsam.memory", line);
  }

  /** To be called at the end, also of a run that failed: returns memory that torch holds in reserve to the device. */
  close(): void {
    if (!this.#files) return;
    this.logMemory("Experiment End");
    if (this.#device.startsWith("cuda")) emptyDeviceCache(this.#device);
  }

  #write(event: TrainingEvent, { log, events, curves }: Files): void {
    events?.write(event);
    curves?.write(event);
    if (event.type === "notice") log.warning(logger, event.message);
    if (event.type === "epoch" && this.#config.debug) this.logMemory("epoch", "DEBUG");
  }
}
