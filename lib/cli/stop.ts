/** Signals of a training command: the first one stops after the step and saves, the second one ends the process at once. */
import { constants } from "node:os";
import { CellsamError } from "../errors.js";

// Windows has Ctrl-Break, and says so when its window is closed; it then leaves a few seconds. Elsewhere nohup hides a hangup.
const signals: NodeJS.Signals[] =
  process.platform === "win32" ? ["SIGINT", "SIGBREAK", "SIGHUP"] : ["SIGINT", "SIGTERM", "SIGUSR1"];

/** Runs `work` with a signal that aborts when the process is asked to end. */
export async function stoppable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
    process.stderr.write(`\n${name}: stopping after this step; once more ends at once\n`);
    controller.abort(
      new CellsamError("ERR_STOPPED", `stopped by ${name}; run the same command with --resume to go on`, {
        detail: { signal: name },
      }),
    );
  };
  for (const name of signals) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of signals) process.off(name, onSignal);
  }
}
