/** `cellsam search`: trains many trials of a space and, on request, a last run with the best settings. */
import { join } from "node:path";
import { Command, type Command as CommandType, Option } from "commander";
import { ExperimentConfig } from "../config/experiment.js";
import { inFileSpelling } from "../config/fileSpelling.js";
import { readConfigFile } from "../config/load.js";
import { pruners, type SearchInput } from "../config/search.js";
import { createDefaultParamSpace, type SpaceInput } from "../config/space.js";
import { CellsamError } from "../errors.js";
import { strictJson } from "../files/json.js";
import { checkOutputFolder } from "../files/outputPath.js";
import type { SearchEvent, TrialEvent } from "../search/events.js";
import { HyperparameterOptimizer } from "../search/optimizer.js";
import type { SearchResult } from "../search/results.js";
import { SearchTree } from "../search/searchTree.js";
import { given, integerFlag } from "./flags.js";
import { clock } from "./progress.js";
import { addRunFlags, poolInput, type RunFlags, runExperiment } from "./runCommand.js";
import { stoppable } from "./stop.js";
import { addConfigFlags, type ConfigFlags, trainConfig } from "./train.js";

interface SearchFlags extends RunFlags, ConfigFlags {
  space?: string;
  trials: number;
  grid?: boolean;
  metric: string;
  mode?: "max" | "min";
  pruner?: SearchInput["pruner"];
  eta?: number;
  minEpochs?: number;
  maxTrials?: number;
  searchDir?: string;
  final?: string;
  retryFailed?: boolean;
}

export function searchCommand(): CommandType {
  const command = addConfigFlags(new Command("search").description("search hyper-parameters: train many trials and rank them"))
    .option("--space <file>", "lists of values to try, YAML or JSON (default: a focused space of 16 combinations)")
    .option("--trials <n>", "trials of a random search", integerFlag, 20)
    .option("--grid", "try every combination instead")
    .option("--metric <group.key>", "number of the results to rank by", "best_f1.f1")
    .addOption(
      new Option("--mode <mode>", "whether the highest or the lowest wins (default: min for losses)").choices(["max", "min"]),
    )
    .addOption(new Option("--pruner <rule>", "end unpromising trials after epochs (asha) or folds").choices([...pruners]))
    .option("--eta <n>", "of asha: one of eta trials continues (default: 3)", integerFlag)
    .option("--min-epochs <n>", "of asha: epochs before the first decision (default: 1)", integerFlag)
    .option("--max-trials <n>", "refuse larger searches (default: 256)", integerFlag)
    .option("--search-dir <path>", "folder of the search (default: <output-dir>/<name>_search)")
    .option("--retry-failed", "with --resume: run all failed trials again, not only those without space, memory or process")
    .option("--final <strategy>", "afterwards train the best configuration with this strategy, e.g. k_fold");
  return addRunFlags(command).action(async (flags: SearchFlags) => search(flags));
}

async function search(flags: SearchFlags): Promise<void> {
  const base = new ExperimentConfig(await trainConfig(flags));
  const paramSpace = flags.space
    ? ((await readConfigFile(flags.space)) as SpaceInput)
    : createDefaultParamSpace({ focused: true });
  const outputDir = flags.searchDir ?? join(base.outputDir, `${base.outputName}_search`);
  const { resume = false, retryFailed = false, overwrite = false, json } = flags;
  if (retryFailed && !resume) throw new CellsamError("ERR_CONFIG", "--retry-failed goes with --resume");
  const options = searchInput(flags, outputDir);
  // A setting that the last run would refuse is reported before the first trial.
  const finalName = `${base.outputName}_final`;
  const finalConfig = { strategy: flags.final as never, outputDir, outputName: finalName };
  if (flags.final) new ExperimentConfig({ ...base, ...finalConfig });
  if (flags.searchDir) await checkOutputFolder("--search-dir", flags.searchDir);
  const best = await stoppable(async (signal) => {
    const optimizer = new HyperparameterOptimizer({
      baseConfig: base,
      paramSpace,
      ...options,
      resume,
      retryFailed,
      overwrite,
      signal,
    });
    const events = optimizer.events();
    const running = flags.grid ? optimizer.runGridSearch() : optimizer.runRandomSearch(flags.trials);
    running.catch(() => undefined);
    const started = Date.now();
    for await (const event of events) show(event, json, started);
    const result = await running;
    printSearch(result, new SearchTree(outputDir, base.outputName), json);
    return optimizer.configOf(result.best_trial.hyperparameters, finalConfig);
  });
  if (flags.final) await runExperiment(best, flags);
}

function searchInput(flags: SearchFlags, outputDir: string): SearchInput {
  const { mode, pruner, eta, minEpochs, maxTrials, metric } = flags;
  const [key = "", ...group] = metric.split(".").toReversed();
  const options = given({ mode, pruner, eta, minEpochs, maxTrials });
  return { outputDir, metricName: group.toReversed().join("."), metricKey: key, ...options, ...poolInput(flags) };
}

function show(event: SearchEvent, json: boolean | undefined, started: number): void {
  if (json) process.stdout.write(`${strictJson(event, 0)}\n`);
  else if (event.type === "notice") process.stderr.write(`warning: ${inFileSpelling(event.message)}\n`);
  else if (event.type === "trial") process.stderr.write(`${trialLine(event, started)}\n`);
}

function trialLine(event: TrialEvent, started: number): string {
  const { trialId, trials, state, metricValue, bestTrial, bestMetricValue, ended, error } = event;
  const head = `trial ${trialId} of ${trials}`;
  if (state === "begin") return `${head}: ${settings(event.hyperparameters)}`;
  const what = metricValue === null ? state : metricValue.toFixed(4);
  const best = bestMetricValue === null ? "" : `, best ${bestMetricValue.toFixed(4)} (trial ${bestTrial})`;
  const left = clock(((Date.now() - started) / 1000 / ended) * (trials - ended));
  return `${head}: ${what}${error ? ` (${error.message.split("\n")[0]})` : ""}${best}, ${ended} done, left ${left}`;
}

function settings(hyperparameters: object): string {
  return Object.entries(hyperparameters)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

function printSearch(result: SearchResult, tree: SearchTree, json: boolean | undefined): void {
  const { root } = tree;
  if (json) {
    process.stdout.write(`${strictJson({ type: "search", path: root, result }, 0)}\n`);
    return;
  }
  const { top, metric_optimized, counts, importance } = result;
  const lines = [
    `trials: ${counts.completed} completed, ${counts.pruned} ended early, ${counts.failed} failed; the best by ${metric_optimized}:`,
  ];
  for (const trial of top)
    lines.push(`  ${trial.metric_value.toFixed(4)}  trial ${trial.trial_id}  ${settings(trial.hyperparameters)}`);
  if (importance?.length) lines.push("how much of the differences each setting explains alone (p: how often chance does):");
  for (const { parameter, adjusted_share, p_value } of importance ?? [])
    lines.push(`  ${(100 * adjusted_share).toFixed(0).padStart(3)} %  ${parameter}  (p ${p_value.toFixed(3)})`);
  const best = join(root, tree.trialName(result.best_trial.trial_id));
  lines.push("", `Report   ${join(root, "report.html")}`, `Scores   ${tree.results}`, `Best     ${best}`);
  lines.push("Next     find the cells of new images with the best trial's model:");
  lines.push(`  npx cellsam predict NEW_IMAGES --experiment ${best} --out predictions`);
  process.stdout.write(`${lines.join("\n")}\n`);
}
