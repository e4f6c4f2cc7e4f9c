/**
 * Records a run while it goes on: every event in logs/events.jsonl, curves for TensorBoard, memory in the log. It hears the events
 * that the caller hears; what happens before there is an output folder is kept until `open`.
 */
import { join } from "node:path";
import type { ExperimentConfig } from "../config/experiment.js";
import type { EpochEvent, StepEvent, TrainingEvent } from "../events.js";
import { EventLog, isLogged } from "../monitor/eventLog.js";
import { GPUMonitor } from "../monitor/gpuMonitor.js";
import type { Log } from "../monitor/log.js";
import { EventWriter } from "../monitor/tensorboard.js";

export class RunMonitor {
  readonly #config: ExperimentConfig;
  readonly #folder: string;
  #memory: GPUMonitor | undefined;
  #events: EventLog | undefined;
  #early: TrainingEvent[] = [];
  readonly #writers = new Map<string, EventWriter>();
  #fold = 1;

  /** `folder` is logs/. */
  constructor(config: ExperimentConfig, folder: string) {
    this.#config = config;
    this.#folder = folder;
  }

  /** From now on things are written; again is harmless. */
  open(log: Log): void {
    if (this.#events) return;
    this.#memory = new GPUMonitor({ device: this.#config.device === "auto" ? "cuda" : this.#config.device, log });
    this.#events = new EventLog(join(this.#folder, "events.jsonl"), { every: this.#config.logFreq });
    for (const event of this.#early.splice(0)) this.#events.write(event);
  }

  /** Memory at the beginning of the training. */
  begin(): void {
    this.#memory?.logMemorySummary("Experiment Start");
  }

  /** Memory at the end, also of a run that failed. What torch kept on the device is given back. */
  end(): void {
    this.#memory?.logMemorySummary("Experiment End");
    this.#memory?.clearGpuCache();
  }

  hear(event: TrainingEvent): void {
    if (!this.#events) {
      if (event.type !== "progress" || event.done === event.total) this.#early.push(event);
      return;
    }
    this.#events.write(event);
    if (event.type === "fold" || event.type === "stage") this.#fold = event.fold;
    if (event.type === "epoch") this.#memory?.logMemory({ label: "epoch", stage: `stage${event.stage}`, epoch: event.epoch });
    if (!this.#config.tensorboard) return;
    if (event.type === "step" && isLogged(event, this.#config.logFreq)) this.#step(event);
    else if (event.type === "epoch") this.#epoch(event);
    else if (event.type === "fold" && event.metrics) this.#writer("results", event.fold, 1).scalars(1, event.metrics);
  }

  /** Steps are counted over the epochs of the stage. */
  #step(event: StepEvent): void {
    const { stage, epoch, step, steps, losses, lr, gradNorm } = event;
    const count = (epoch - 1) * steps + step;
    this.#writer(`stage${stage}_steps`, this.#fold, count).scalars(count, {
      ...losses,
      learning_rate: lr,
      grad_norm: gradNorm,
    });
  }

  /** Training and validation have the same tags in runs of their own: TensorBoard draws both curves in one picture. */
  #epoch({ stage, fold, epoch, train, validation, lr, seconds }: EpochEvent): void {
    this.#writer(`stage${stage}_train`, fold, epoch).scalars(epoch, { ...train, learning_rate: lr, seconds });
    if (validation) this.#writer(`stage${stage}_val`, fold, epoch).scalars(epoch, validation);
  }

  #writer(run: string, fold: number, first: number): EventWriter {
    const folder = join(this.#folder, "tensorboard", `fold_${fold}`, run);
    const writer = this.#writers.get(folder) ?? new EventWriter(folder, { restartAt: first });
    this.#writers.set(folder, writer);
    return writer;
  }
}
