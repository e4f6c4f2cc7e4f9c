/** The process of one fold: trains what is left of it, and reports its events and its result. */
import { ExperimentConfig } from "../config/experiment.js";
import { resolveDevice, resolvePrecision } from "../engine/device.js";
import { openSession } from "../engine/session.js";
import type { TrainingEvent } from "../events.js";
import { serveTask } from "../pool/serve.js";
import { openModel } from "../predict/model.js";
import { packageVersion } from "../version.js";
import type { RunContext } from "./context.js";
import { trainApart } from "./foldApart.js";
import { OutputTree } from "./outputTree.js";
import type { FoldResult } from "./results.js";
import { RunRecord } from "./runRecord.js";

export interface FoldTask extends Pick<RunContext, "config" | "folds" | "strategy" | "pairs" | "store"> {
  fold: number;
  device: string;
  threads: number;
}

serveTask<FoldTask, TrainingEvent, FoldResult>(async ({ fold, device: asked, threads, ...task }, { signal, report }) => {
  const config = new ExperimentConfig(task.config);
  const tree = new OutputTree(config.outputDir, config.outputName);
  const tell = (event: TrainingEvent) =>
    report(event.type === "step" || event.type === "progress" ? { ...event, fold } : event);
  const record = new RunRecord(config, tree.apart(fold), tell, true);
  const log = record.open();
  const { emit, warn, writeIfPossible } = record;
  const run = { ...task, config, tree, log, emit, warn, writeIfPossible, signal, lossWeights: undefined };
  try {
    return await trainApart(
      fold,
      {
        find: async () => {
          const device = await resolveDevice(asked, warn);
          return { device, precision: resolvePrecision(config.precision, device) };
        },
        lend: async (device, work) => {
          const { session } = await openModel({ ...config, threads }, { device, open: openSession, warn });
          await work(session).finally(() => session.dispose());
        },
      },
      run,
      packageVersion,
    );
  } catch (error) {
    if (!signal.aborted) log.error("cellsam.runner", error instanceof Error ? (error.stack ?? error.message) : String(error));
    throw error;
  } finally {
    record.close();
  }
});
