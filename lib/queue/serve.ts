/** The side of a worker: takes one job after another, does each in a process of its own, and reports how it goes. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { compiledFile } from "../compiledFile.js";
import { CellsamError } from "../errors.js";
import { stoppedTogether } from "../pool/slots.js";
import { startWorker, type Worker, type WorkerEnd } from "../pool/worker.js";
import { programs, type Row } from "./messages.js";
import { isOutage, type Patiently, patience } from "./patience.js";
import { openServer, type QueueJob, type Server, type Timing, usualTiming } from "./server.js";

/** How long a job waits whose output another process is still writing, as one that has lost its job. */
const lockedMs = 10_000;

export interface ServeOptions {
  signal: AbortSignal;
  /** Gets a sentence about each job, and about the server. */
  tell: (message: string) => void;
  timing?: Timing;
}

/** Works until the signal fires; a job of that moment saves, and goes back. @throws CellsamError ERR_QUEUE, ERR_PATH; the signal's reason */
export async function serveQueue(url: string, { signal, tell, timing = usualTiming }: ServeOptions): Promise<never> {
  const server = await openServer(url);
  try {
    const taker = await server.taker(timing);
    const patiently = patience(tell);
    for (let turn = 0; ; turn++) {
      signal.throwIfAborted();
      const token = `${hostname()}:${process.pid}:${turn}`;
      const job = await patiently(() => taker.getNextJob(token, { block: false }), signal).catch((error: unknown) => {
        signal.throwIfAborted();
        throw error;
      });
      if (job) await new Duty({ server, job: job as QueueJob, token, patiently, signal, tell, timing }).do();
      else await sleep(timing.poll, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await server.close();
  }
}

interface Given {
  server: Server;
  job: QueueJob;
  /** By it the queue knows who has the job. */
  token: string;
  patiently: Patiently;
  signal: AbortSignal;
  tell: (message: string) => void;
  timing: Timing;
}

/** Why a job's process was told to stop. */
type Reason = "asked" | "abandoned" | "lost" | "leaving";

/** One job, from taking it to giving it back or its result. */
class Duty {
  readonly #given: Given;
  readonly #called: string;
  #child: Worker<unknown, unknown> | undefined;
  #reason: Reason | undefined;
  #reports: unknown[] = [];
  #part = 0;
  #beat: number | undefined;
  #heard = performance.now();
  #renewed = 0;

  constructor(given: Given) {
    this.#given = given;
    this.#called = `${given.job.name} ${given.job.id?.slice(0, 8)}`;
  }

  async do(): Promise<void> {
    const { job, tell } = this.#given;
    const { cwd, name, task } = job.data;
    await this.#watch();
    if (this.#reason === "abandoned") return this.#drop();
    if (this.#reason) return this.#finish({ state: "stopped" });
    if (!existsSync(cwd)) {
      await this.#giveBack(0);
      const message = `${cwd} is not there on ${hostname()}: workers need the data and the output folder at the same paths`;
      throw new CellsamError("ERR_PATH", message, { detail: { path: cwd, host: hostname() } });
    }
    tell(`${this.#called} begins`);
    const program = compiledFile(programs[name] as string);
    const child = startWorker<unknown, unknown, unknown>({
      name,
      program,
      launcher: [],
      cwd,
      onReport: (report) => this.#keep(report),
    });
    this.#child = child;
    child.begin(JSON.parse(task));
    await this.#row({ begun: child.mark ?? undefined, reports: [] });
    let ended = false;
    const end = child.end.finally(() => {
      ended = true;
    });
    while (!ended) {
      await Promise.race([end, sleep(this.#given.timing.poll)]);
      await this.#flush();
      if (!ended) await this.#watch();
    }
    await this.#finish(await end);
  }

  /** Renews the claim of the job, and looks whether it is still wanted. */
  async #watch(): Promise<void> {
    const { server, job, token, patiently, signal, timing } = this.#given;
    if (signal.aborted) return this.#stop("leaving");
    try {
      if (performance.now() - this.#renewed > timing.lock / 4 || this.#renewed === 0) {
        if ((await patiently(() => job.extendLock(token, timing.lock), signal)) === 0) return this.#stop("lost");
        this.#renewed = performance.now();
      }
      const record = await patiently(() => server.runs.getJob(job.data.run), signal);
      if (!record) return this.#stop("abandoned");
      if (record.data.stop.includes(job.id as string)) return this.#stop("asked");
      // Time in which this worker could not ask does not count: the run could not tell either.
      if (record.data.beat !== this.#beat) this.#heard = performance.now();
      this.#beat = record.data.beat;
      if (performance.now() - this.#heard > timing.silence) return this.#stop("abandoned");
    } catch (error) {
      if (!signal.aborted || !isOutage(error)) throw error;
      this.#stop("leaving");
    }
  }

  #stop(reason: Reason): void {
    this.#reason ??= reason;
    this.#child?.stop();
  }

  /** Of steps and progress only the newest is reported: whoever watches needs no more, and the files of the job have all. */
  #keep(report: unknown): void {
    const { type } = report as { type?: string };
    if (type === "step" || type === "progress")
      this.#reports = this.#reports.filter((before) => (before as { type?: string }).type !== type);
    this.#reports.push(report);
  }

  async #flush(): Promise<void> {
    if (this.#reports.length === 0) return;
    const reports = this.#reports;
    this.#reports = [];
    await this.#row({ reports });
  }

  async #row(content: Omit<Row, "part">): Promise<void> {
    const { server, job, token, patiently, signal } = this.#given;
    const row: Row = { part: `${token}:${this.#part++}`, ...content };
    await patiently(() => server.jobs.addJobLog(job.id as string, JSON.stringify(row)), signal).catch((error: unknown) => {
      if (isOutage(error)) return this.#stop("leaving");
      if (!isRefusal(error)) throw error;
      this.#stop("abandoned"); // the job was removed
    });
  }

  async #finish(end: WorkerEnd<unknown>): Promise<void> {
    const { job, token, patiently, signal, tell } = this.#given;
    if (end.state === "failed" && end.error.code === "ERR_LOCKED") {
      tell(`${this.#called} waits: ${end.error.message}`);
      return this.#giveBack(lockedMs);
    }
    if (end.state === "stopped") {
      if (this.#reason === "abandoned") return this.#drop();
      const leaving = this.#reason === "leaving" || (!this.#reason && (await stoppedTogether(signal)));
      if (leaving || this.#reason === "lost") return this.#giveBack(0);
    }
    tell(`${this.#called} has ended: ${end.state === "failed" ? `${end.error.code}: ${end.error.message}` : end.state}`);
    await this.#settle(() => patiently(() => job.moveToCompleted(JSON.stringify(end), token, false), signal));
  }

  /** Puts the job back, for whoever comes next. */
  async #giveBack(delayMs: number): Promise<void> {
    const { job, token, patiently, signal, tell } = this.#given;
    tell(`${this.#called} goes back to the queue`);
    await this.#settle(() => patiently(() => job.moveToDelayed(Date.now() + delayMs, token), signal));
  }

  /** Takes the job out of the queue, with the record of its run, which is dead. */
  async #drop(): Promise<void> {
    const { server, job, token, patiently, signal, tell } = this.#given;
    tell(`${this.#called} is dropped: its run has ended`);
    await this.#settle(async () => {
      await patiently(() => server.runs.remove(job.data.run), signal);
      await patiently(() => job.moveToFailed(new Error("its run has ended"), token, false), signal);
    });
  }

  /**
   * A job that another worker has by now, or that this one has ended already with the answer lost, is left as it is; so is one of
   * a server that is away while this worker ends: its claim expires.
   */
  async #settle(call: () => Promise<unknown>): Promise<void> {
    await call().catch((error: unknown) => {
      if (!isRefusal(error) && !isOutage(error)) throw error;
    });
  }
}

/** Whether the queue has answered that the job is gone, or somebody else's. */
function isRefusal(error: unknown): boolean {
  return typeof (error as { code?: unknown }).code === "number";
}
