/** The side of a run or a search: puts jobs into the queue, follows what their workers report, and takes the results. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { textHash } from "../files/fileHash.js";
import type { Worker, WorkerEnd } from "../pool/worker.js";
import type { Start, Workers } from "../pool/workers.js";
import type { JobData, Row, RunData } from "./messages.js";
import { type Patiently, patience } from "./patience.js";
import { openServer, type QueueJob, type Server, type Timing, usualTiming } from "./server.js";

/** A run with no worker for so long says so, in ms. */
const lonelyMs = 60_000;

/** Opens the queue for a run. `tell` gets what the user should know. @throws CellsamError ERR_QUEUE */
export async function joinQueue(url: string, tell: (message: string) => void, timing: Timing = usualTiming): Promise<Workers> {
  const run = new QueuedRun(await openServer(url), tell, timing);
  await run.write();
  return { start: (options) => new QueuedJob(run, options), close: () => run.close() };
}

class QueuedRun {
  readonly id = randomUUID();
  readonly server: Server;
  readonly timing: Timing;
  readonly patiently: Patiently;
  readonly tell: (message: string) => void;
  readonly #stop = new Set<string>();
  readonly #closed = new AbortController();
  readonly #beating: NodeJS.Timeout;
  #beat = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(server: Server, tell: (message: string) => void, timing: Timing) {
    this.server = server;
    this.tell = tell;
    this.timing = timing;
    this.patiently = patience(tell);
    this.#beating = setInterval(() => void this.write(), timing.beat);
  }

  /** Writes the record of the run; makes it again where a worker, to whom the run looked dead, has removed it. */
  write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (this.#closed.signal.aborted) return;
      const data: RunData = { beat: this.#beat++, stop: [...this.#stop] };
      const { runs } = this.server;
      await this.patiently(async () => {
        const record = await runs.add("run", data, { jobId: this.id });
        await record.updateData(data);
      }, this.#closed.signal).catch(() => undefined);
    });
    return this.#writing;
  }

  stop(job: string): void {
    this.#stop.add(job);
    void this.write();
  }

  async close(): Promise<void> {
    clearInterval(this.#beating);
    this.#closed.abort();
    await this.#writing;
    // Where the server is away now, workers notice by themselves that the run has ended.
    await this.server.runs.remove(this.id).catch(() => undefined);
    await this.server.close();
  }
}

/** One fold or trial. It is known by what it writes, so that a run that goes on after a kill finds the job it had before. */
class QueuedJob<Task, Report, Result> implements Worker<Task, Result> {
  readonly mark = null;
  readonly begun: Promise<string | null>;
  readonly end: Promise<WorkerEnd<Result>>;
  readonly #run: QueuedRun;
  readonly #options: Start<Report>;
  readonly #id: string;
  #begin: (task: Task) => void = () => undefined;
  #setBegun: (who: string | null) => void = () => undefined;
  #rows = 0;
  #lastPart = "";
  #stopped = false;

  constructor(run: QueuedRun, options: Start<Report>) {
    this.#run = run;
    this.#options = options;
    this.#id = textHash(options.writes);
    const task = new Promise<Task>((resolve) => {
      this.#begin = resolve;
    });
    this.begun = new Promise((resolve) => {
      this.#setBegun = resolve;
    });
    this.end = task.then((given) => this.#follow(JSON.stringify(given))).finally(() => this.#setBegun(null));
  }

  begin(task: Task): void {
    this.#begin(task);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#run.stop(this.#id);
  }

  async #follow(task: string): Promise<WorkerEnd<Result>> {
    const { run: id, name, cwd } = { run: this.#run.id, name: this.#options.name, cwd: process.cwd() };
    await this.#add({ run: id, name, cwd, task });
    const since = Date.now();
    let lonely = false;
    for (;;) {
      await sleep(this.#run.timing.poll);
      const state = await this.#run.patiently(() => this.#run.server.jobs.getJobState(this.#id));
      await this.#takeRows();
      if (state === "completed") return this.#take();
      if (this.#stopped && state !== "active" && (await this.#withdrawn())) return { state: "stopped" };
      if (state === "unknown") {
        // The server has forgotten it, or a worker took the run for dead.
        await this.#run.write();
        await this.#add({ run: id, name, cwd, task });
      }
      if (lonely || this.#rows > 0 || Date.now() - since < lonelyMs) continue;
      lonely = true;
      this.#run.tell(`no worker has taken the ${name} yet: start \`cellsam worker --queue …\` of this version on any machine`);
    }
  }

  #get(): Promise<QueueJob | undefined> {
    return this.#run.patiently(() => this.#run.server.jobs.getJob(this.#id));
  }

  /** Puts the job into the queue. What is there of an earlier run of the same output goes first. */
  async #add(data: JobData): Promise<void> {
    const { server, patiently, timing } = this.#run;
    for (let job = await this.#get(); job && job.data.run !== this.#run.id; job = await this.#get()) {
      const { run } = job.data;
      // That run is dead, since this one holds its lock: without its record, whoever works for it saves and ends.
      await patiently(() => server.runs.remove(run));
      if (await this.#withdrawn()) break;
      await sleep(timing.poll);
    }
    this.#rows = 0;
    await patiently(() => server.jobs.add(data.name, data, { jobId: this.#id }));
  }

  /** Removes the job; false while a worker has it. */
  async #withdrawn(): Promise<boolean> {
    return this.#run.patiently(async () => {
      const job = await this.#run.server.jobs.getJob(this.#id);
      if (!job) return true;
      if ((await job.getState()) === "active") return false;
      await job.remove();
      return true;
    });
  }

  async #takeRows(): Promise<void> {
    const { logs } = await this.#run.patiently(() => this.#run.server.jobs.getJobLogs(this.#id, this.#rows));
    for (const log of logs) {
      this.#rows++;
      const { part, begun, reports } = JSON.parse(log) as Row;
      if (part === this.#lastPart) continue;
      this.#lastPart = part;
      if (begun) this.#setBegun(`process ${begun.pid} on ${begun.host}`);
      // Whoever waits for the beginning hears of it before the first report.
      await Promise.resolve();
      for (const report of reports) this.#options.onReport(report as Report);
    }
  }

  /** The end that the worker has left; the job is removed. */
  async #take(): Promise<WorkerEnd<Result>> {
    const job = (await this.#get()) as QueueJob;
    await this.#withdrawn();
    return JSON.parse(job.returnvalue) as WorkerEnd<Result>;
  }
}
