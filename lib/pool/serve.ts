/**
 * The worker's side: the process takes one task, reports its progress, and ends. When it is asked to stop, by its pool or by a
 * signal, or when the pool is gone, killed or not, it stops after the step, saves and ends.
 */
import { hostname } from "node:os";
import { createInterface } from "node:readline";
import { CellsamError, type Failure, failureOf } from "../errors.js";
import type { Answer, Order } from "./messages.js";

export interface TaskCall<Report> {
  /** Fires when the worker is to save and end. */
  signal: AbortSignal;
  report: (report: Report) => void;
}

/** Waits for the task on stdin, does it with `work`, and ends the process. stdout is for answers alone. */
export function serveTask<Task, Report, Result>(work: (task: Task, call: TaskCall<Report>) => Promise<Result>): void {
  const stop = new AbortController();
  const abort = () => stop.abort(new CellsamError("ERR_STOPPED", "the process was stopped; the run can be resumed"));
  // Ctrl-C reaches the whole process group; the pool reacts to it and stops its workers.
  for (const signal of ["SIGINT", "SIGBREAK", "SIGHUP", "SIGUSR1"] as const) process.on(signal, () => undefined);
  process.on("SIGTERM", abort);
  // Nobody listens any longer.
  process.stdout.on("error", abort);
  process.stderr.on("error", abort);
  const answer = (message: Answer<Report, Result>) =>
    new Promise<void>((resolve) => process.stdout.write(`${JSON.stringify(message)}\n`, () => resolve()));

  const run = async (task: Task, cwd: string): Promise<never> => {
    let last: Answer<Report, Result>;
    try {
      enter(cwd);
      const report = (progress: Report) => void answer({ type: "report", report: progress });
      last = { type: "done", result: await work(task, { signal: stop.signal, report }) };
    } catch (error) {
      const stopped = stop.signal.aborted && error === stop.signal.reason;
      last = stopped ? { type: "stopped" } : { type: "failed", error: failure(error) };
    }
    await answer(last);
    process.exit(0);
  };

  let begun = false;
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const order = JSON.parse(line) as Order<Task>;
    if (order.type === "stop") return abort();
    begun = true;
    void run(order.task, order.cwd);
  });
  lines.on("close", () => {
    abort();
    if (!begun) process.exit(0);
  });
}

/** Relative paths start where they do in the pool's process, which may be on another machine. */
function enter(cwd: string): void {
  if (cwd === process.cwd()) return;
  try {
    process.chdir(cwd);
  } catch (cause) {
    const message = `${cwd} is not there on ${hostname()}: workers need the data and the output folder at the same paths`;
    throw new CellsamError("ERR_PATH", message, { cause, detail: { path: cwd, host: hostname() } });
  }
}

function failure(error: unknown): Failure {
  const known = failureOf(error);
  const stack = error instanceof Error && !(error instanceof CellsamError) ? error.stack : undefined;
  return { ...known, message: stack ?? known.message };
}
