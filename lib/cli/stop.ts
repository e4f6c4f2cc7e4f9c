/**
 * Signals during a run: the first one stops after the step and saves, the second one ends the process at once. A process that
 * `cellsam launch` has started stops likewise when that one is gone, even killed: the channel between them closes.
 */
import { constants } from "node:os";
import { CellsamError } from "../errors.js";
import { exitCodes } from "./exit.js";

// On Windows SIGBREAK is Ctrl-Break. SIGHUP: the terminal or its connection was closed, which on Windows leaves a few seconds.
// nohup cannot keep it from a program in Node.js, which restores its default at the start.
const signals: NodeJS.Signals[] =
  process.platform === "win32" ? ["SIGINT", "SIGBREAK", "SIGHUP"] : ["SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"];

/** A signal that a launcher repeats, to this process and to its parents, comes within so many milliseconds. */
const repeatMs = 5000;

/**
 * Runs `work` with an AbortSignal that fires when the process gets one of the signals; `flag` is the one that goes on, null
 * where there is none. `work` calls `saved` when everything is saved after that: a further signal then ends the process as one
 * that can be resumed. `launched`: several signals within five seconds count as one.
 */
export async function stoppable<T>(
  work: (signal: AbortSignal, saved: () => void) => Promise<T>,
  flag: string | null = "--resume",
  launched = false,
): Promise<T> {
  const controller = new AbortController();
  let isSaved = false;
  let first = 0;
  const onSignal = (name: NodeJS.Signals) => {
    if (launched && controller.signal.aborted && Date.now() - first < repeatMs) return;
    first ||= Date.now();
    if (controller.signal.aborted) process.exit(isSaved ? exitCodes.stopped : 128 + constants.signals[name]);
    process.stderr.write(`\n${name}: stopping after this step; send it again to end at once\n`);
    stop(`by ${name}`, { signal: name });
  };
  const stop = (why: string, detail: Record<string, unknown> = {}) => {
    const again = `stopped ${why}; run the same command ${flag ? `with ${flag} to continue` : "to start over"}`;
    controller.abort(new CellsamError("ERR_STOPPED", again, { detail }));
  };
  const onParentGone = () => stop("since the process that started it has ended");
  for (const name of signals) process.on(name, onSignal);
  process.on("disconnect", onParentGone);
  try {
    return await work(controller.signal, () => {
      isSaved = true;
    });
  } finally {
    process.off("disconnect", onParentGone);
    // A process that was stopped is about to end, and until then a further signal is expected.
    if (!controller.signal.aborted) for (const name of signals) process.off(name, onSignal);
  }
}
