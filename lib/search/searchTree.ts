/** The folder of a search: paths of its files, and a lock so that only one process works in it at a time. */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CellsamError } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { readChecked, writeChecked } from "../files/json.js";
import { checkOutputFolder } from "../files/outputPath.js";
import { sweepTemporaries } from "../files/temporaries.js";
import { takeLock } from "../train/lock.js";
import { changedKeys } from "../train/resume.js";

/** Everything that defines a search, written before its first trial. A resumed search must have the same. */
export interface SearchPlan {
  format: 1;
  package: string;
  kind: "grid" | "random";
  /** Compute threads of each trial; 0: all cores. */
  threads: number;
  /** Everything that decides which trials there are and how they are ranked and pruned. */
  search: Record<string, unknown>;
}

export class SearchTree {
  readonly root: string;
  readonly base: string;
  readonly plan: string;
  readonly journal: string;
  readonly log: string;
  readonly results: string;
  readonly best: string;
  readonly lock: string;
  #unlock: (() => Promise<void>) | undefined;

  /** `base` is the beginning of the trials' names. */
  constructor(root: string, base: string) {
    this.root = root;
    this.base = base;
    this.plan = join(root, "search.json");
    this.journal = join(root, "trials.jsonl");
    this.log = join(root, "hyperparameter_search.log");
    this.results = join(root, "optimization_results.json");
    this.best = join(root, "best_configuration.json");
    this.lock = resolve(root, "search.lock");
  }

  trialName(trialId: number): string {
    return `${this.base}_trial_${trialId}`;
  }

  /** @throws CellsamError ERR_SEARCH_RUNNING while another process works in the folder; ERR_CONFIG where none can be made */
  async claim(): Promise<void> {
    await checkOutputFolder("outputDir", this.root);
    await makeFolder(this.root);
    this.#unlock = await takeLock(this.lock, (owner) => {
      const who = owner ? `process ${owner.pid} on ${owner.host}` : "another process";
      const message = `a search is running in ${this.root} (${who}); wait for it or stop it first. If that is no search, remove ${this.lock}`;
      return new CellsamError("ERR_SEARCH_RUNNING", message, { detail: { path: this.root, pid: owner?.pid ?? null } });
    });
    // Trials, which may still be saving, write into folders of their own.
    await sweepTemporaries(this.root, { idleMs: 0 });
  }

  async release(): Promise<void> {
    await this.#unlock?.();
  }

  /**
   * Refuses to overwrite something by accident, and to resume another search. Returns the plan to use: that of a resumed search
   * is the saved one.
   * @throws CellsamError ERR_OUTPUT_EXISTS; ERR_RESUME naming what has changed
   */
  async open(
    plan: SearchPlan,
    { resume = false, overwrite = false }: { resume?: boolean; overwrite?: boolean },
  ): Promise<SearchPlan> {
    const detail = { path: this.root };
    if (resume && overwrite) throw new CellsamError("ERR_CONFIG", "resume and overwrite exclude each other");
    if (existsSync(this.plan)) {
      if (resume) return this.#same(plan);
      if (!overwrite)
        throw new CellsamError(
          "ERR_OUTPUT_EXISTS",
          `${this.root} already holds a search; choose another outputDir, or use \`resume: true\` to continue or \`overwrite: true\` to replace it`,
          { detail },
        );
      await this.#clear();
    }
    const taken = (await this.#trialFolders())[0];
    if (taken)
      throw new CellsamError(
        "ERR_OUTPUT_EXISTS",
        `${join(this.root, taken)} already exists, but does not belong to a search; move it elsewhere`,
        { detail },
      );
    await writeChecked(this.plan, plan);
    return plan;
  }

  async #same(plan: SearchPlan): Promise<SearchPlan> {
    const saved = await readChecked<SearchPlan>(this.plan).catch((error: Error) => {
      const message = `cannot resume the search in ${this.root}: ${error.message}. Restore the file from a copy, or start again with --overwrite`;
      throw new CellsamError("ERR_RESUME", message, { cause: error, detail: { path: this.plan } });
    });
    const now = JSON.parse(JSON.stringify(plan)) as SearchPlan;
    const keys = changedKeys({ kind: saved.kind, ...saved.search }, { kind: now.kind, ...now.search });
    if (saved.package !== plan.package) keys.push(`package version (${saved.package}, now ${plan.package})`);
    if (keys.length > 0) {
      throw new CellsamError(
        "ERR_RESUME",
        `cannot resume the search in ${this.root}, which has changed: ${keys.join(", ")}. Restore these settings, or start again with \`overwrite: true\``,
        {
          detail: { path: this.root, keys },
        },
      );
    }
    return saved;
  }

  async #trialFolders(): Promise<string[]> {
    const own = (name: string) => name.startsWith(`${this.base}_trial_`) && /^\d+$/.test(name.slice(this.base.length + 7));
    return (await readdir(this.root)).filter(own);
  }

  /** Removes the trials and files of an earlier search, its plan last. The shared tiles stay. */
  async #clear(): Promise<void> {
    for (const file of [this.best, this.results, this.journal]) await rm(file, { force: true });
    for (const folder of await this.#trialFolders())
      await rm(join(this.root, folder), { recursive: true, force: true, maxRetries: 5 });
    await rm(this.plan, { force: true });
  }
}
