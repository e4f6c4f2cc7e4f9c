/**
 * Records the events of a run: each goes to the caller, to logs/events.jsonl and to TensorBoard, and a notice also to logs/experiment.log.
 * Events that occur before there is an output folder are kept until `open`.
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
  events: EventLog;
  curves: Curves | null;
}

export class RunRecord {
  readonly #config: ExperimentConfig;
  readonly #tree: OutputTree;
  readonly #caller: (event: TrainingEvent) => void;
  readonly #device: string;
  #files: Files | undefined;
  #early: TrainingEvent[] = [];

  constructor(config: ExperimentConfig, tree: OutputTree, caller: (event: TrainingEvent) => void) {
    this.#config = config;
    this.#tree = tree;
    this.#caller = caller;
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
    const log = new Log(this.#tree.log, debug ? "DEBUG" : "INFO");
    const events = new EventLog(join(folder, "events.jsonl"), { every: eventFreq });
    this.#files = { log, events, curves: tensorboard ? new Curves(join(folder, "tensorboard"), logFreq) : null };
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
    events.write(event);
    curves?.write(event);
    if (event.type === "notice") log.warning(logger, event.message);
    if (event.type === "epoch" && this.#config.debug) this.logMemory("epoch", "DEBUG");
  }
}
