/** Where the workers of a pool are: processes of this machine, or behind a launcher, or those that take jobs from a queue. */
import { compiledFile } from "../compiledFile.js";
import type { Slots } from "../config/pool.js";
import { startWorker, type Worker } from "../pool/worker.js";
import { programs } from "./messages.js";

export interface Start<Report> {
  /** What the task is called: a name of `programs`. */
  name: string;
  /** The compiled file that serves tasks, where it is not that of `name`; a queue knows no other. */
  program?: string | undefined;
  /** The absolute path of what the task writes, which no two tasks share. */
  writes: string;
  onReport: (report: Report) => void;
}

export interface Workers {
  start<Task, Report, Result>(options: Start<Report>): Worker<Task, Result>;
  close(): Promise<void>;
}

/** `tell` gets what the user should know of the queue. @throws CellsamError ERR_QUEUE */
export async function openWorkers({ launcher, queue }: Slots, tell: (message: string) => void): Promise<Workers> {
  if (queue) return (await import("./run.js")).joinQueue(queue, tell);
  return {
    start: ({ name, program = compiledFile(programs[name] as string), onReport }) =>
      startWorker({ name, program, launcher, onReport }),
    close: async () => undefined,
  };
}
