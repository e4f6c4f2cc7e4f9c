/** Trains folds at the same time, each in a process of its own, and joins them with the run as they end. */
import { resolve } from "node:path";
import type { Slots } from "../config/pool.js";
import type { Failure } from "../errors.js";
import type { TrainingEvent } from "../events.js";
import { readChecked } from "../files/json.js";
import { inSlots, stoppedTogether } from "../pool/slots.js";
import { threadShare } from "../pool/threads.js";
import type { Worker } from "../pool/worker.js";
import type { Workers } from "../pool/workers.js";
import { placeOf } from "../queue/server.js";
import { openWorkers } from "../queue/workers.js";
import type { RunContext } from "./context.js";
import { isApart, joinFold, removeApart, setApart } from "./foldApart.js";
import type { FoldTask } from "./foldProcess.js";
import type { FoldResult } from "./results.js";
import type { RunState } from "./resume.js";

const logger = "cellsam.runner";

export interface FoldPool {
  slots: Slots;
  run: RunContext;
  /** Records a fold that failed. @throws where a run with this fold alone ends with its error */
  failed: (fold: number, error: Failure) => Promise<void>;
}

/** @throws the signal's reason when it fires, after all folds have saved; what `failed` throws; CellsamError ERR_QUEUE */
export async function trainInPool(folds: readonly number[], pool: FoldPool): Promise<void> {
  const workers = await openWorkers(pool.slots, pool.run.warn);
  try {
    await trainWith(workers, folds, pool);
  } finally {
    await workers.close();
  }
}

async function trainWith(workers: Workers, folds: readonly number[], pool: FoldPool): Promise<void> {
  const { run, slots } = pool;
  const running = new Set<Worker<FoldTask, FoldResult>>();
  const begun = new Map<number, string>();
  for (const fold of folds) {
    const saved = isApart(fold, run.tree) ? await readChecked<RunState>(run.tree.apart(fold).runState).catch(() => null) : null;
    if (saved?.progress) begun.set(fold, saved.device);
  }
  // Rows of images and the state of the run are read, changed and written: by one fold at a time.
  let joining: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>) => {
    joining = joining.then(work);
    return joining;
  };
  run.log.info(logger, `at most ${slots.maxParallel} folds at a time, ${whereOf(pool)}`);
  await inSlots({
    queue: [...folds],
    slots,
    begunOn: (fold) => begun.get(fold),
    stop: () => {
      for (const worker of running) worker.stop();
    },
    signal: run.signal,
    work: async (fold, device) => {
      await inTurn(() => setApart(fold, run));
      const worker = start(fold, workers, pool);
      running.add(worker);
      worker.begin(taskOf(fold, device ?? run.config.device, pool));
      if (run.signal?.aborted) worker.stop();
      const who = await worker.begun;
      if (who) {
        run.log.info(logger, `fold ${fold} begins in ${who}; its log is in logs/fold_${fold}`);
        run.emit({ type: "fold", fold, folds: run.folds, state: "begin" });
      }
      const end = await worker.end;
      running.delete(worker);
      if (end.state === "done") {
        await inTurn(() => joinFold(fold, end.result, run));
      } else if (end.state === "stopped") {
        if (await stoppedTogether(run.signal)) run.signal?.throwIfAborted();
        await inTurn(() =>
          pool.failed(fold, { code: "ERR_TRIAL_DIED", message: "the fold's process was stopped from outside" }),
        );
      } else {
        // What a process that died has saved is continued when the run is resumed; a fold that failed begins anew.
        if (!end.crashed) await inTurn(() => removeApart(fold, run.tree));
        await inTurn(() => pool.failed(fold, end.error));
      }
    },
  });
  run.signal?.throwIfAborted();
}

function whereOf(pool: FoldPool): string {
  const { launcher, queue } = pool.slots;
  if (queue) return `by workers of the queue at ${placeOf(queue)}`;
  return launcher.length > 0 ? `started by ${launcher.join(" ")}` : `${threadsOf(pool) || "all"} threads each`;
}

function start(fold: number, workers: Workers, { run }: FoldPool): Worker<FoldTask, FoldResult> {
  const onReport = (event: TrainingEvent) => {
    const named = event.type !== "notice" || event.message.startsWith(`fold ${fold}`);
    run.emit(named ? event : { ...event, message: `fold ${fold}: ${event.message}` });
  };
  const writes = resolve(run.tree.apart(fold).resume);
  return workers.start<FoldTask, TrainingEvent, FoldResult>({ name: "fold", writes, onReport });
}

function threadsOf({ run, slots }: FoldPool): number {
  return run.config.threads || threadShare(slots);
}

function taskOf(fold: number, device: string, pool: FoldPool): FoldTask {
  const { run } = pool;
  const { config, folds, strategy, store, state } = run;
  const { val, train, test = [] } = state.splits[fold - 1] as RunState["splits"][number];
  const evaluated = new Set([...(val.length > 0 ? val : train), ...test]);
  const pairs = run.pairs.filter(({ source }) => evaluated.has(source));
  return { fold, device, threads: threadsOf(pool), config, folds, strategy, pairs, store };
}
