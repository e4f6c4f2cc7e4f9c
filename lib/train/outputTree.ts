/** Paths of the files of an experiment: the folders of the Python module (docs/migration.md), and resume/ and splits.json. */
import { existsSync, realpathSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import type { StageNumber } from "../config/stageOptions.js";
import { CellsamError } from "../errors.js";

export class OutputTree {
  readonly root: string;
  readonly config: string;
  readonly log: string;
  readonly events: string;
  readonly splits: string;
  readonly resume: string;
  readonly runState: string;
  readonly results: string;
  readonly preeval: string;
  readonly preevalPerImage: string;
  readonly perImage: string;
  readonly nearDuplicates: string;
  readonly individualResults: string;
  readonly aggregatedResults: string;
  readonly report: string;

  constructor(outputDir: string, outputName: string) {
    this.root = join(outputDir, outputName);
    this.config = join(this.root, "experiment_config.json");
    this.log = join(this.root, "logs", "experiment.log");
    this.events = join(this.root, "logs", "events.jsonl");
    this.splits = join(this.root, "splits.json");
    this.resume = join(this.root, "resume");
    this.runState = join(this.resume, "run.json");
    this.results = join(this.root, "results");
    this.preeval = join(this.results, "preeval_results.json");
    this.preevalPerImage = join(this.results, "preeval_per_image.json");
    this.perImage = join(this.results, "per_image.json");
    this.nearDuplicates = join(this.results, "near_duplicates.json");
    this.individualResults = join(this.results, "individual_results.json");
    this.aggregatedResults = join(this.results, "aggregated_results.json");
    this.report = join(this.results, "report.html");
  }

  /** `fold` counts from 1. */
  models(fold: number): string {
    return join(this.root, "models", `fold_${fold}`);
  }

  visualizations(fold: number): string {
    return join(this.results, `fold_${fold}`, "visualizations");
  }

  /** In metrics/ itself for a single training, else in a folder in it for each fold. */
  stageMetrics(stage: StageNumber, fold: number, folds: number): string {
    const own = folds === 1 ? [] : [`fold_${fold}`];
    return join(this.root, "metrics", ...own, `stage${stage}_metrics.json`);
  }

  /**
   * The same folder, but with a state, a log and rows of images' scores of this fold's own, in resume/fold_N and logs/fold_N: for
   * a process that trains it beside others. `fold` counts from 1.
   */
  apart(fold: number): OutputTree {
    const resume = join(this.resume, `fold_${fold}`);
    const own = {
      log: join(this.root, "logs", `fold_${fold}`, basename(this.log)),
      resume,
      runState: join(resume, basename(this.runState)),
      preeval: join(resume, basename(this.preeval)),
      preevalPerImage: join(resume, basename(this.preevalPerImage)),
      perImage: join(resume, basename(this.perImage)),
    };
    return Object.assign(new OutputTree(dirname(this.root), basename(this.root)), own);
  }

  /** Whether `path` is this folder or is inside it; links are followed. */
  holds(path: string): boolean {
    const real = (name: string) => (existsSync(name) ? realpathSync(name) : resolve(name));
    const way = relative(real(this.root), real(path));
    // On Windows the relative path to another drive is absolute.
    return way.split(sep)[0] !== ".." && !isAbsolute(way);
  }

  /**
   * Refuses a folder in which a run would overwrite something by accident. `inputs` are the files and folders that the run
   * reads, by setting.
   * @throws CellsamError ERR_OUTPUT_EXISTS when files are there and neither `resume` nor `overwrite` is set;
   * ERR_NOTHING_TO_RESUME; ERR_CONFIG when `overwrite` would remove an input
   */
  async check(
    { resume = false, overwrite = false }: { resume?: boolean; overwrite?: boolean },
    inputs: Record<string, string | null> = {},
  ): Promise<void> {
    const detail = { path: this.root };
    if (resume && overwrite) throw new CellsamError("ERR_CONFIG", "resume and overwrite exclude each other");
    const entries = existsSync(this.root) ? await readdir(this.root) : [];
    const saved = existsSync(this.runState);
    // A run that ended before its first save leaves nothing, or an empty resume/. It starts from the beginning, with `resume`
    // or without.
    if (!saved && entries.every((entry) => entry === "resume")) return;
    if (resume) {
      if (saved) return;
      const message = `${this.root} has files but no saved state to continue from; choose another name, or replace an old experiment with \`overwrite: true\``;
      throw new CellsamError("ERR_NOTHING_TO_RESUME", message, { detail });
    }
    if (!overwrite) {
      const message = `${this.root} already exists; choose another name, or use \`resume: true\` to continue or \`overwrite: true\` to replace it`;
      throw new CellsamError("ERR_OUTPUT_EXISTS", message, { detail });
    }
    if (!existsSync(this.config) && !existsSync(this.resume)) {
      const message = `${this.root} is not the folder of an experiment (it has neither experiment_config.json nor resume/), so it is not replaced; remove it first`;
      throw new CellsamError("ERR_OUTPUT_EXISTS", message, { detail });
    }
    for (const [setting, path] of Object.entries(inputs)) {
      if (!path || !this.holds(path)) continue;
      const message = `${setting}: ${path} is in ${this.root}, which \`overwrite: true\` removes; move it out, or choose another name`;
      throw new CellsamError("ERR_CONFIG", message, { detail: { setting, path } });
    }
  }

  /**
   * Removes an earlier experiment: its run state first, so that half an experiment is never resumed, and resume/ last, so that
   * what a killed process leaves is still recognised as an experiment.
   */
  async clear(): Promise<void> {
    await rm(this.runState, { force: true });
    const entries = existsSync(this.root) ? await readdir(this.root) : [];
    for (const entry of entries) {
      if (entry !== "resume") await rm(join(this.root, entry), { recursive: true, force: true, maxRetries: 5 });
    }
    await rm(this.resume, { recursive: true, force: true, maxRetries: 5 });
  }
}
