/** The process of one trial: runs its experiment and reports its progress. It always resumes what an earlier process has saved. */
import type { ExperimentInput } from "../config/experiment.js";
import type { TrainingEvent } from "../events.js";
import { serveTask } from "../pool/serve.js";
import { toSnake } from "../spelling.js";
import { ExperimentRunner } from "../train/experiment.js";
import type { TrialReport } from "./messages.js";
import type { FoldRecord } from "./metric.js";

serveTask<ExperimentInput, TrialReport, FoldRecord[]>(async (config, { signal, report }) => {
  // A trial is one process, also where a launcher has started several searches.
  const runner = new ExperimentRunner({ ...config, distributed: "off" }, { resume: true, signal });
  for await (const event of runner.events()) {
    const told = reportOf(event);
    if (told) report(told);
  }
  return toSnake(await runner.run()) as FoldRecord[];
});

function reportOf(event: TrainingEvent): TrialReport | undefined {
  switch (event.type) {
    case "epoch": {
      const { fold, stage, epoch, epochs, validation } = event;
      return { type: "epoch", fold, stage, epoch, epochs, loss: validation?.total_loss ?? null };
    }
    case "fold": {
      const { fold, folds, metrics = {} } = event;
      return event.state === "end" ? { type: "fold", fold, folds, metrics } : undefined;
    }
    case "stage":
      return { type: "training" };
    case "notice":
      return { type: "notice", message: event.message };
    default:
      return undefined;
  }
}
