/** Starts processes that take one task each, here or through a launcher elsewhere, and reports how they end. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Failure } from "../errors.js";
import { endedBy } from "../processEnd.js";
import type { Answer, Order } from "./messages.js";
import { markOf, type ProcessMark } from "./processMark.js";

/** Characters of the end of what a worker writes besides its answers that are kept for an error message. */
const keptOutput = 2000;

export interface WorkerOptions<Report> {
  /** What a message calls the task, such as "trial". */
  name: string;
  /** The compiled file that serves tasks, see serveTask. */
  program: string;
  /** Words of a command that starts another one elsewhere; empty: the worker is a process of this machine. */
  launcher: readonly string[];
  /** The folder that relative paths of the task start from. Default: that of this process. */
  cwd?: string;
  onReport: (report: Report) => void;
}

/** How a worker ended. `crashed`: it died without reporting a result or an error. */
export type WorkerEnd<Result> =
  | { state: "done"; result: Result }
  | { state: "stopped" }
  | { state: "failed"; error: Failure; crashed: boolean };

export interface Worker<Task, Result> {
  /** The worker; behind a launcher, the process of the launcher; null where a queue chooses it. */
  mark: ProcessMark | null;
  /** Who does the task, as a message says it, once somebody does; null where the task ended without. */
  begun: Promise<string | null>;
  /** Sends it its task, for which it waits. */
  begin(task: Task): void;
  /** Asks it to save and end. */
  stop(): void;
  end: Promise<WorkerEnd<Result>>;
}

export function startWorker<Task, Report, Result>(options: WorkerOptions<Report>): Worker<Task, Result> {
  const [command = "", ...words] = [...options.launcher, process.execPath, options.program];
  // A launcher is no part of the terminal's process group: Ctrl-C reaches the pool, which stops the worker through its stdin.
  const child = spawn(command, words, { stdio: ["pipe", "pipe", "pipe"], detached: options.launcher.length > 0 });
  child.stdin.on("error", () => undefined); // it has ended, which its end reports
  const order = (message: Order<Task>) => {
    if (child.stdin.writable) child.stdin.write(`${JSON.stringify(message)}\n`);
  };
  const { cwd = process.cwd() } = options;
  const mark = markOf(child.pid ?? -1);
  return {
    mark,
    begun: Promise.resolve(`process ${mark.pid}`),
    begin: (task) => order({ type: "run", cwd, task }),
    stop: () => order({ type: "stop" }),
    end: follow<Report, Result>(child, options),
  };
}

function follow<Report, Result>(child: ChildProcess, { name, onReport }: WorkerOptions<Report>): Promise<WorkerEnd<Result>> {
  let output = "";
  let end: WorkerEnd<Result> | undefined;
  const keep = (text: string) => {
    output = (output + text).slice(-keptOutput);
  };
  child.stderr?.setEncoding("utf8").on("data", keep);
  const take = (line: string) => {
    const answer = answerOf<Report, Result>(line);
    if (!answer) keep(`${line}\n`);
    else if (answer.type === "report") onReport(answer.report);
    else if (answer.type === "done") end = { state: "done", result: answer.result };
    else if (answer.type === "stopped") end = { state: "stopped" };
    else end = { state: "failed", error: answer.error, crashed: false };
  };
  const lines = child.stdout && createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY });
  const read = new Promise<void>((resolve) => (lines ? lines.on("line", take).on("close", resolve) : resolve()));
  return new Promise((resolve) => {
    const died = async (how: string) => {
      await read;
      const message = `the ${name}'s process ${how}${output.trim() ? `; it wrote: ${output.trim()}` : ""}`;
      resolve(end ?? { state: "failed", crashed: true, error: { code: "ERR_TRIAL_DIED", message } });
    };
    child.on("error", (error) => died(`could not be started (${error.message})`));
    child.on("close", (code, signal) => {
      const killer = endedBy(code, signal);
      died(killer ? `was ended by ${killer}` : `ended with code ${code} and no result`);
    });
  });
}

/** The answer in a line; null for what a launcher or a library writes. */
function answerOf<Report, Result>(line: string): Answer<Report, Result> | null {
  try {
    const value = JSON.parse(line);
    return ["report", "done", "stopped", "failed"].includes(value?.type) ? value : null;
  } catch {
    return null;
  }
}
