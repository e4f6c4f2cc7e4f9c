/**
 * What takes long: predictions and trainings. Of each kind one is done at a time, in the order in which they were asked for.
 */
import { CellsamError, failureOf } from "../errors.js";
import type { Job } from "./api.js";

/** Finished jobs that are remembered. */
const kept = 50;

export interface JobProgress {
  done?: number;
  total?: number;
  message?: string | null;
}

/** The work of a job; it ends when `signal` fires. */
export type Work = (progress: (change: JobProgress) => void, signal: AbortSignal) => Promise<void>;

interface Held {
  job: Job;
  controller: AbortController;
  end: Promise<void>;
}

export class Jobs {
  readonly #held = new Map<number, Held>();
  readonly #last: Record<Job["kind"], Promise<void>> = { predict: Promise.resolve(), train: Promise.resolve() };
  readonly #tell: (job: Job) => void;
  #number = 0;
  #closed = false;

  /** `tell` gets every change of a job. */
  constructor(tell: (job: Job) => void) {
    this.#tell = tell;
  }

  list(): Job[] {
    return [...this.#held.values()].map(({ job }) => job);
  }

  start({ kind, title, total, run = null }: Pick<Job, "kind" | "title" | "total"> & { run?: string | null }, work: Work): Job {
    const id = ++this.#number;
    const job: Job = {
      ...{ id, kind, title, state: "waiting", done: 0, total, run, message: null },
      ...{ started: new Date().toISOString(), ended: null },
    };
    const controller = new AbortController();
    const end = this.#last[kind].then(() => this.#do(id, work, controller.signal));
    this.#last[kind] = end;
    this.#held.set(id, { job, controller, end });
    this.#tell(job);
    return job;
  }

  async #do(id: number, work: Work, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return; // it was cancelled while it waited
    try {
      this.#change(id, { state: "running" });
      await work((progress) => this.#change(id, progress), signal);
      this.#end(id, signal.aborted ? { state: "cancelled" } : { state: "done" });
    } catch (error) {
      this.#end(id, signal.aborted ? { state: "cancelled" } : { state: "failed", message: failureOf(error).message });
    }
  }

  #end(id: number, change: Partial<Job>): void {
    this.#change(id, { ...change, ended: new Date().toISOString() });
    const ended = [...this.#held].filter(([, { job }]) => job.ended !== null);
    for (const [old] of ended.slice(0, -kept)) this.#held.delete(old);
  }

  #change(id: number, change: Partial<Job>): void {
    const held = this.#held.get(id);
    if (!held) return;
    held.job = { ...held.job, ...change };
    if (!this.#closed) this.#tell(held.job);
  }

  /** One that waits ends at once; one that runs ends when its work does. */
  #abort({ job: { id, state }, controller }: Held): void {
    controller.abort();
    if (state === "waiting") this.#end(id, { state: "cancelled" });
  }

  /** Stops a job. @throws CellsamError ERR_NOT_FOUND */
  cancel(id: number): Job {
    const held = this.#held.get(id);
    if (!held) throw new CellsamError("ERR_NOT_FOUND", `there is no job ${id}`);
    this.#abort(held);
    return held.job;
  }

  /** Stops the job of a run, if there is one that has not ended; returns whether. */
  cancelRun(run: string): boolean {
    const running = [...this.#held.values()].filter(({ job }) => job.run === run && job.ended === null);
    for (const held of running) this.#abort(held);
    return running.length > 0;
  }

  /** Stops all jobs and waits for their ends. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const held of [...this.#held.values()]) this.#abort(held);
    await Promise.all(Object.values(this.#last));
  }
}
