/** The experiments of a folder, watched as they are trained. */
import { readdir } from "node:fs/promises";
import { hostname } from "node:os";
import { CellsamError } from "../errors.js";
import { experimentOwner } from "../train/lock.js";
import type { RunRow } from "./api.js";
import type { Events } from "./events.js";
import { RunFiles } from "./runFiles.js";

/** How often files are looked at: twice a second, as often as the events of steps are told. */
const lookMs = 500;

export class Runs {
  readonly root: string;
  readonly #events: Events;
  readonly #known = new Map<string, RunFiles>();
  /** What was told last of each run, and its last step. */
  readonly #told = new Map<string, string>();
  readonly #toldSteps = new Map<string, string>();
  readonly #listeners = new Set<(row: RunRow) => void>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(root: string, events: Events) {
    this.root = root;
    this.#events = events;
  }

  /** Begins to look at the files. */
  watch(): void {
    this.#timer ??= setInterval(() => {
      this.#looking = this.#looking.then(() => this.look()).catch(() => undefined);
    }, lookMs).unref();
  }

  onChange(listener: (row: RunRow) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells what is new since the last time. */
  async look(): Promise<void> {
    for (const run of await this.#all()) {
      await run.follow();
      const row = await run.row();
      this.#tellStep(run);
      const text = JSON.stringify({ ...row, changed: "" });
      if (this.#told.get(run.name) === text) continue;
      this.#told.set(run.name, text);
      this.#events.emit("run", row);
      for (const listener of this.#listeners) listener(row);
    }
  }

  #tellStep({ name, lastStep }: RunFiles): void {
    const step = lastStep && { run: name, ...lastStep };
    const text = JSON.stringify(step);
    if (step && this.#toldSteps.get(name) !== text) this.#events.emit("step", step);
    this.#toldSteps.set(name, text);
  }

  async #all(): Promise<RunFiles[]> {
    const entries = await readdir(this.root, { withFileTypes: true }).catch(() => []);
    const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map(({ name }) => name);
    for (const gone of [...this.#known.keys()].filter((name) => !names.includes(name))) this.#known.delete(gone);
    return names.map((name) => {
      const run = this.#known.get(name) ?? new RunFiles(this.root, name);
      this.#known.set(name, run);
      return run;
    });
  }

  /** The newest first. */
  async rows(): Promise<RunRow[]> {
    const runs = await this.#all();
    await Promise.all(runs.map((run) => run.follow()));
    const rows = await Promise.all(runs.map((run) => run.row()));
    return rows.sort((a, b) => b.changed.localeCompare(a.changed));
  }

  /** Whether the run has files. */
  async has(name: string): Promise<boolean> {
    return (await this.#all()).some((run) => run.name === name);
  }

  /** A run of the folder: no other path can be meant. @throws CellsamError ERR_NOT_FOUND */
  async get(name: string): Promise<RunFiles> {
    const run = (await this.#all()).find((one) => one.name === name);
    if (!run) throw new CellsamError("ERR_NOT_FOUND", `there is no run ${name}`);
    await run.follow();
    return run;
  }

  /**
   * Asks the process that trains a run to save and end. @throws CellsamError ERR_NOT_FOUND, ERR_STATE where none does, or
   * elsewhere
   */
  async stop(name: string): Promise<void> {
    await this.get(name);
    const owner = await experimentOwner(this.root, name);
    if (!owner) throw new CellsamError("ERR_STATE", `${name} is not being trained`);
    if (owner.host !== hostname())
      throw new CellsamError("ERR_STATE", `${name} is trained by process ${owner.pid} of ${owner.host}: stop it there`);
    process.kill(owner.pid, "SIGTERM");
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }
}
