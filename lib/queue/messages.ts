/** What stands in the queue: a job for each fold or trial, a record of each run that wants them done, and what workers report. */
import type { ProcessMark } from "../pool/processMark.js";
import { packageVersion } from "../version.js";

/** Workers of another version do not see the jobs. */
export const jobQueue = `cellsam-${packageVersion}`;
export const runQueue = `cellsam-${packageVersion}-runs`;

/** The compiled programs that do the jobs, by what the jobs are called. */
export const programs: Readonly<Record<string, string>> = { fold: "train/foldProcess.js", trial: "search/trialProcess.js" };

export interface JobData {
  /** The number of the run, under which its record stands. */
  run: string;
  /** A name of `programs`. */
  name: string;
  /** The folder that relative paths of the task start from. */
  cwd: string;
  /** The task as JSON text: the database would sort the keys of an object. */
  task: string;
}

/** By it workers know that a run goes on, and what it wants. Without a record the run has ended. */
export interface RunData {
  /** Changes as long as the run's process lives. */
  beat: number;
  /** Jobs that are to save and end. */
  stop: string[];
}

/** A row of a job's log. `part`: a row that a worker wrote twice, since the answer was lost, counts once. */
export interface Row {
  part: string;
  /** Who has begun the job; in the first row of each that does. */
  begun?: ProcessMark | undefined;
  reports: unknown[];
}
