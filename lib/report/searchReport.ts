/**
 * report.html of a hyper-parameter search: the best settings, the importance of settings, and all trials, from
 * optimization_results.json.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { CellsamError } from "../errors.js";
import { writeAtomic } from "../files/writeAtomic.js";
import { dotChart } from "./charts.js";
import type { Json } from "./experimentFiles.js";
import { bars, escapeHtml, figure, number, page, score, section, table } from "./html.js";

export const searchFile = "optimization_results.json";

/** The parts of optimization_results.json that the report shows. */
interface Search {
  all_trials: {
    trial_id: number;
    hyperparameters: Json;
    state: string;
    metric_value: number | null;
    seconds: number;
    error?: { message?: string };
  }[];
  best_trial: { trial_id: number; hyperparameters: Json };
  metric_optimized: string;
  mode: "max" | "min";
  best_metric_value: number;
  counts: { completed: number; failed: number; pruned: number };
  importance:
    | { parameter: string; share: number; p_value: number; values: { value: unknown; trials: number; mean: number }[] }[]
    | null;
  importance_method: string;
  pruner: string | null;
}

/**
 * Writes FOLDER/report.html and returns its path.
 * @throws CellsamError ERR_CONFIG when the folder holds no results of a search
 */
export async function writeSearchReport(folder: string): Promise<string> {
  const file = join(folder, searchFile);
  if (!existsSync(file)) {
    const message = `${folder} holds no ${searchFile}; give the folder of a search that has finished a trial`;
    throw new CellsamError("ERR_CONFIG", message, { detail: { folder } });
  }
  const path = join(folder, "report.html");
  await writeAtomic(path, searchReport(basename(resolve(folder)), JSON.parse(await readFile(file, "utf8")) as Search));
  return path;
}

export function searchReport(name: string, search: Search): string {
  const { counts, metric_optimized: metric, mode, best_trial: best, best_metric_value: value, pruner } = search;
  const lead = `${search.all_trials.length} trials, ranked by ${metric} (${mode === "max" ? "highest" : "lowest"} wins): ${counts.completed} completed, ${counts.failed} failed, ${counts.pruned} pruned.`;
  const body = [
    section(
      "best",
      "Best trial",
      `<div class="scores">${score(metric, number(value), `trial ${best.trial_id}`)}</div>${settings(best.hyperparameters)}`,
    ),
    section("importance", "What mattered", importance(search)),
    section("values", "Every value that was tried", values(search)),
    section("trials", "All trials", trials(search)),
    section("pruner", "Pruning", pruner ? `<p>${escapeHtml(pruner)}</p>` : ""),
  ];
  return page(name, lead, body.filter(Boolean).join("\n"));
}

const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

function settings(hyperparameters: Json): string {
  return table(
    ["setting", "value"],
    Object.entries(hyperparameters).map(([key, value]) => [key, shown(value)]),
  );
}

function importance({ importance: rows, importance_method: method }: Search): string {
  if (!rows) return "<p>Too few trials completed, or their results do not differ: the importance of settings is not known.</p>";
  const shares = rows.map(({ parameter, share, p_value: p }) => ({
    name: parameter,
    share,
    note: `(p ${p < 0.01 ? p.toFixed(3) : p.toFixed(2)})`,
  }));
  return `${bars(shares)}<p class="lead">${escapeHtml(method)}.</p>`;
}

/** One chart per setting: the metric of each completed trial over its value. */
function values({ all_trials: all, metric_optimized: metric }: Search): string {
  const done = all.filter(({ metric_value: value }) => typeof value === "number");
  const names = [...new Set(done.flatMap(({ hyperparameters }) => Object.keys(hyperparameters)))];
  const charts = names.map((name) => {
    const dots = done.map(({ hyperparameters, metric_value: y }) => ({ x: shown(hyperparameters[name]), y: y as number }));
    return figure(dotChart(dots, { x: name, y: metric }), `${metric} by ${name}; one dot per trial`);
  });
  return charts.length === 0 ? "" : `<div class="charts">${charts.join("")}</div>`;
}

function trials({ all_trials: all, best_trial: best, metric_optimized: metric }: Search): string {
  const names = [...new Set(all.flatMap(({ hyperparameters }) => Object.keys(hyperparameters)))];
  const rows = all.map(({ trial_id: id, state, metric_value: value, hyperparameters, seconds, error }) => [
    `${id}${id === best.trial_id ? " (best)" : ""}`,
    error?.message ? `${state}: ${error.message}` : state,
    value,
    ...names.map((name) => shown(hyperparameters[name])),
    Math.round(seconds),
  ]);
  return table(["trial", "state", metric, ...names, "seconds"], rows, (row) => all[row]?.state !== "completed");
}
