/** The messages between a pool and its workers: lines of JSON, on the worker's stdin and stdout. */
import type { Failure } from "../errors.js";

/** To the worker. `cwd` is the folder that relative paths of the task start from. After `stop` it saves and ends. */
export type Order<Task> = { type: "run"; cwd: string; task: Task } | { type: "stop" };

/** From the worker: reports of progress, and then exactly one of the last three. */
export type Answer<Report, Result> =
  | { type: "report"; report: Report }
  | { type: "done"; result: Result }
  | { type: "stopped" }
  | { type: "failed"; error: Failure };
