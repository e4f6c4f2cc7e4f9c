/**
 * The process of one trial: gets a configuration from the search, runs the experiment and reports its progress. It always
 * resumes what an earlier process has saved. When the search ends, killed or not, it stops after the step, saves and ends.
 */
import type { ExperimentInput } from "../config/experiment.js";
import { CellsamError, type Failure, failureOf } from "../errors.js";
import type { TrainingEvent } from "../events.js";
import { toSnake } from "../spelling.js";
import { ExperimentRunner } from "../train/experiment.js";
import type { TrialOrder, TrialReport } from "./messages.js";
import type { FoldRecord } from "./metric.js";

const stop = new AbortController();
const abort = () => stop.abort(new CellsamError("ERR_STOPPED", "the trial was stopped; it can be resumed"));

// Ctrl-C reaches the whole process group; the search reacts to it and stops its trials.
for (const signal of ["SIGINT", "SIGBREAK", "SIGHUP", "SIGUSR1"] as const) process.on(signal, () => undefined);
process.on("SIGTERM", abort);
process.on("disconnect", abort);
process.on("message", (order: TrialOrder) => {
  if (order.type === "stop") abort();
  else void run(order.config);
});

/** Resolves when the message has left this process, or when the search is no longer connected. */
function report(message: TrialReport): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected || !process.send) resolve();
    else process.send(message, () => resolve());
  });
}

async function run(config: ExperimentInput): Promise<never> {
  let last: TrialReport;
  try {
    const runner = new ExperimentRunner(config, { resume: true, signal: stop.signal });
    for await (const event of runner.events()) forward(event);
    last = { type: "done", results: toSnake(await runner.run()) as FoldRecord[] };
  } catch (error) {
    const stopped = stop.signal.aborted && error === stop.signal.reason;
    last = stopped ? { type: "stopped" } : { type: "failed", error: failure(error) };
  }
  await report(last);
  process.exit(0);
}

function forward(event: TrainingEvent): void {
  switch (event.type) {
    case "epoch": {
      const { fold, stage, epoch, epochs, validation } = event;
      void report({ type: "epoch", fold, stage, epoch, epochs, loss: validation?.total_loss ?? null });
      break;
    }
    case "fold":
      if (event.state === "end") {
        const { fold, folds, metrics = {} } = event;
        void report({ type: "fold", fold, folds, metrics });
      }
      break;
    case "stage":
      void report({ type: "training" });
      break;
    case "notice":
      void report({ type: "notice", message: event.message });
      break;
  }
}

function failure(error: unknown): Failure {
  const known = failureOf(error);
  const stack = error instanceof Error && !(error instanceof CellsamError) ? error.stack : undefined;
  return { ...known, message: stack ?? known.message };
}
