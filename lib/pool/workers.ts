/** What a pool asks of whoever starts its workers, wherever they are. */
import type { Worker } from "./worker.js";

export interface Start<Report> {
  /** What the task is called: "fold" or "trial". */
  name: string;
  /** The compiled file that serves tasks, where it is not the package's own; a queue knows no other. */
  program?: string | undefined;
  /** The absolute path of what the task writes, which no two tasks share. */
  writes: string;
  onReport: (report: Report) => void;
}

export interface Workers {
  start<Task, Report, Result>(options: Start<Report>): Worker<Task, Result>;
  close(): Promise<void>;
}
