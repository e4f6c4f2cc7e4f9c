/** The routes of runs: lists, curves, logs, reports, comparisons, stopping. */

import { CellsamError } from "../errors.js";
import { writeExperimentReport } from "../report/experimentReport.js";
import { compareExperiments } from "../stats/experiments.js";
import {
  compareQuerySchema,
  comparisonSchema,
  runListSchema,
  runLogSchema,
  runParametersSchema,
  runSchema,
  stoppedRunSchema,
} from "./api.js";
import type { Jobs } from "./jobs.js";
import { type Route, route } from "./routes.js";
import type { Runs } from "./runs.js";

/** A report is a page of its own, which may run no script and load nothing. */
const reportPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

export function runRoutes({ runs, jobs }: { runs: Runs; jobs: Jobs }): Route[] {
  return [
    route({
      ...{ method: "GET", path: "/api/runs", summary: "All runs, the newest first." },
      answer: runListSchema,
      handle: async () => ({ runs: await runs.rows() }),
    }),
    route({
      ...{ method: "GET", path: "/api/runs/:run", summary: "A run with its settings and epochs." },
      params: runParametersSchema,
      answer: runSchema,
      handle: async ({ params: { run } }) => (await runs.get(run)).whole(),
    }),
    route({
      ...{ method: "GET", path: "/api/runs/:run/log", summary: "The end of a run's log." },
      params: runParametersSchema,
      answer: runLogSchema,
      handle: async ({ params: { run } }) => ({ text: await (await runs.get(run)).log() }),
    }),
    route({
      ...{
        method: "GET",
        path: "/api/runs/:run/report",
        summary: "The report of a run; of one that trains, as it is now.",
      },
      params: runParametersSchema,
      answer: "text/html",
      handle: async ({ params }) => {
        const run = await runs.get(params.run);
        if ((await run.reportPage()) === null) await writeExperimentReport(run.folder);
        const body = (await run.reportPage()) ?? "";
        return { type: "text/html; charset=utf-8", body, headers: { "content-security-policy": reportPolicy } };
      },
    }),
    route({
      ...{ method: "POST", path: "/api/runs/:run/stop", summary: "Stops a training; it can be resumed." },
      params: runParametersSchema,
      answer: stoppedRunSchema,
      handle: async ({ params: { run } }) => {
        const cancelled = jobs.cancelRun(run);
        if (cancelled && !(await runs.has(run))) return { run: null };
        if (!cancelled) await runs.stop(run);
        return { run: await (await runs.get(run)).row() };
      },
    }),
    route({
      ...{ method: "GET", path: "/api/compare", summary: "Whether run b is better than run a, with tests." },
      query: compareQuerySchema,
      answer: comparisonSchema,
      handle: async ({ query }) => {
        const [a, b] = [await runs.get(query.a), await runs.get(query.b)];
        if (a.name === b.name) throw new CellsamError("ERR_INVALID_ARGUMENT", "compare two runs, not one with itself");
        const { folds, images, notes } = await compareExperiments(a.folder, b.folder);
        const plain = (value: object | null) => value && (JSON.parse(JSON.stringify(value)) as Record<string, unknown>);
        return { a: a.name, b: b.name, folds: plain(folds), images: plain(images), notes };
      },
    }),
  ];
}
