/** Signals during a run: the first one stops after the step and saves, the second one ends the process at once. */
import { constants } from "node:os";
import { CellsamError } from "../errors.js";

// On Windows SIGBREAK is Ctrl-Break, and SIGHUP means that the window was closed, which leaves a few seconds. Elsewhere SIGHUP
// is left to nohup.
const signals: NodeJS.Signals[] =
  process.platform === "win32" ? ["SIGINT", "SIGBREAK", "SIGHUP"] : ["SIGINT", "SIGTERM", "SIGUSR1"];

/** Runs `work` with an AbortSignal that fires when the process gets one of the signals; `flag` is the one that goes on. */
export async function stoppable<T>(work: (signal: AbortSignal) => Promise<T>, flag = "--resume"): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
    process.stderr.write(`\n${name}: stopping after this step; send it again to end at once\n`);
    controller.abort(
      new CellsamError("ERR_STOPPED", `stopped by ${name}; run the same command with ${flag} to continue`, {
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
