/** One training for an embedding program: progress as an async iterator, results as a promise, and a way to stop. */
import type { ExperimentInput } from "../config/experiment.js";
import type { TrainingEvent } from "../events.js";
import { ExperimentRunner } from "./experiment.js";
import type { RunnerOptions } from "./options.js";
import type { FoldResult } from "./results.js";

/** A training that runs. Leaving it with `await using` stops it. */
export interface Training extends AsyncIterable<TrainingEvent>, AsyncDisposable {
  /** One per split; rejects with what went wrong, or with the reason of the stop. */
  readonly results: Promise<FoldResult[]>;
  /** The experiment's folder. */
  readonly folder: string;
  /** Finishes the step, saves what `resume` needs, and rejects `results` with `reason`. Resolves when that is done. */
  stop(reason?: unknown): Promise<void>;
}

/**
 * Starts the training that `config` describes, on threads of its own.
 * @param options.signal stops like `stop`
 * @throws CellsamError ERR_CONFIG; everything later rejects `results` and ends the iteration
 */
export function train(config: ExperimentInput, options: RunnerOptions = {}): Training {
  const stopping = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
  const runner = new ExperimentRunner(config, { ...options, signal });
  const results = runner.run();
  results.catch(() => undefined); // a caller that only iterates hears of a failure there
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
