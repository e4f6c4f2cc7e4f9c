/** Starts the process of a trial, and reports how it ends. */
import { type ChildProcess, fork } from "node:child_process";
import { compiledFile } from "../compiledFile.js";
import type { ExperimentInput } from "../config/experiment.js";
import type { Failure } from "../errors.js";
import { endedBy } from "../processEnd.js";
import { markOf, type ProcessMark } from "../train/processMark.js";
import type { TrialOrder, TrialReport } from "./messages.js";
import type { FoldRecord } from "./metric.js";

/** Characters of the end of stderr that are kept for an error message. */
const keptOutput = 2000;

export const trialEntry = compiledFile("search/trialProcess.js");

/** How the process of a trial ended. `crashed`: it died without reporting a result or an error. */
export type TrialEnd =
  | { state: "done"; results: FoldRecord[] }
  | { state: "stopped" }
  | { state: "failed"; error: Failure; crashed: boolean };

export interface RunningTrial {
  mark: ProcessMark;
  /** Sends the trial its configuration, for which it waits. */
  begin(config: ExperimentInput): void;
  /** Asks it to save and end. */
  stop(): void;
  end: Promise<TrialEnd>;
}

/** Starts `entry` in a process of its own. `onReport` is called with every report except the last. */
export function startTrial(entry: string, onReport: (report: TrialReport) => void): RunningTrial {
  const child = fork(entry, [], { execArgv: [], stdio: ["ignore", "ignore", "pipe", "ipc"] });
  const order = (message: TrialOrder) => {
    if (child.connected) child.send(message, () => undefined);
  };
  return {
    mark: child.pid === undefined ? { pid: -1, started: null } : markOf(child.pid),
    begin: (config) => order({ type: "run", config }),
    stop: () => order({ type: "stop" }),
    end: follow(child, onReport),
  };
}

function follow(child: ChildProcess, onReport: (report: TrialReport) => void): Promise<TrialEnd> {
  let output = "";
  let end: TrialEnd | undefined;
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(-keptOutput);
  });
  child.on("message", (report: TrialReport) => {
    if (report.type === "done") end = { state: "done", results: report.results };
    else if (report.type === "stopped") end = { state: "stopped" };
    else if (report.type === "failed") end = { state: "failed", error: report.error, crashed: false };
    else onReport(report);
  });
  return new Promise((resolve) => {
    const died = (how: string) =>
      resolve(
        end ?? {
          state: "failed",
          crashed: true,
          error: {
            code: "ERR_TRIAL_DIED",
            message: `the trial's process ${how}${output.trim() ? `; it wrote: ${output.trim()}` : ""}`,
          },
        },
      );
    child.on("error", (error) => died(`could not be started (${error.message})`));
    child.on("close", (code, signal) => {
      const killer = endedBy(code, signal);
      died(killer ? `was ended by ${killer}` : `ended with code ${code} and no result`);
    });
  });
}
