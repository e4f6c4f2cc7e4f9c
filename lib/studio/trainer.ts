/** Trains runs in processes of their own: `cellsam train`, as on the command line. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { compiledFile } from "../compiledFile.js";
import { CellsamError } from "../errors.js";
import { endedBy } from "../processEnd.js";
import type { StudioFolder } from "./folder.js";
import type { Work } from "./jobs.js";
import type { Runs } from "./runs.js";

/** Characters of the end of what a training says that an error message has. */
const keptOutput = 2000;
/** The exit code of a training that was stopped and can be resumed. */
const stoppedCode = 75;
/** Below the server, which answers clicks: of the whole process, whatever the run's own `priority` says of its threads. */
const niceness = 10;

export class Trainer {
  readonly #runs: Runs;
  /** Of the process that trains. */
  #pid: number | null = null;

  constructor(runs: Runs) {
    this.#runs = runs;
  }

  /** The process that trains; null where none does. */
  get pid(): number | null {
    return this.#pid;
  }

  /** Trains, or goes on with, the run of a configuration file. */
  work(run: string, config: readonly string[], resume: boolean): Work {
    return async (progress, signal) => {
      const stopTelling = this.#runs.onChange((row) => {
        if (row.name === run) progress({ done: row.done, total: Math.max(row.total, 1) });
      });
      try {
        await this.#train([...config, ...(resume ? ["--resume"] : [])], signal);
      } finally {
        await this.#runs.look();
        stopTelling();
      }
    };
  }

  #train(flags: readonly string[], signal: AbortSignal): Promise<void> {
    const child = spawn(process.execPath, [compiledFile(join("cli", "main.js")), "train", ...flags], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#pid = child.pid ?? null;
    lower(child.pid);
    let output = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-keptOutput);
    });
    const stop = () => child.kill("SIGTERM");
    signal.addEventListener("abort", stop);
    return new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, killer) => {
        if (code === 0 || code === stoppedCode) return resolve();
        const how = endedBy(code, killer) ?? `code ${code}`;
        reject(new CellsamError("ERR_TRIAL_DIED", `the training ended with ${how}: ${output.trim()}`));
      });
    }).finally(() => {
      signal.removeEventListener("abort", stop);
      this.#pid = null;
    });
  }
}

function lower(pid: number | undefined): void {
  try {
    if (pid) setPriority(pid, niceness);
  } catch {
    // It has ended already, or the system does not allow it: it then trains at the usual priority.
  }
}

/** The flags that name the configuration of a run that is there: the one it was made with, or the one it has saved. */
export function configFlags(folder: StudioFolder, run: string): string[] {
  const own = join(folder.trainingData(run), "cellsam.yaml");
  if (existsSync(own)) return ["--config", own];
  return ["--config", join(folder.run(run), "experiment_config.json"), "--output-dir", folder.runs, "--name", run];
}
