/**
 * One training in one object, for programs that embed it: events as an async iterator, results as a promise, and a way to stop.
 */
import type { ExperimentInput } from "../config/experiment.js";
import type { TrainingEvent } from "../events.js";
import { ExperimentRunner } from "./experiment.js";
import type { RunnerOptions } from "./options.js";
import type { FoldResult } from "./results.js";

/** A running training. `await using` stops it at the end of the block. */
export interface Training extends AsyncIterable<TrainingEvent>, AsyncDisposable {
  /** One result per split; rejects with what went wrong, or with the reason of the stop. */
  readonly results: Promise<FoldResult[]>;
  /** The experiment's folder. */
  readonly folder: string;
  /** Finishes the batches of the current optimiser step, saves what `resume` needs, and rejects `results` with `reason`. Resolves when that is done. */
  stop(reason?: unknown): Promise<void>;
}

/**
 * Starts the training that `config` describes, on threads of its own.
 * @param options.signal stops the training as `stop` does
 * @throws CellsamError ERR_CONFIG; everything later rejects `results` and ends the iteration
 */
export function train(config: ExperimentInput, options: RunnerOptions = {}): Training {
  const stopping = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
  const runner = new ExperimentRunner(config, { ...options, signal });
  const results = runner.run();
  results.catch(() => undefined); // a caller that only iterates gets the error there
  const stop = async (reason?: unknown) => {
    stopping.abort(reason);
    await results.catch(() => undefined);
  };
  return {
    results,
    folder: runner.tree.root,
    stop,
    [Symbol.asyncIterator]: () => runner.events()[Symbol.asyncIterator](),
    [Symbol.asyncDispose]: () => stop(),
  };
}
