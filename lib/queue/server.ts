/** The queue's server: BullMQ on PostgreSQL. Both packages are optional, and are loaded when a queue is used. */
import { createRequire } from "node:module";
import type { Job, Queue, Worker } from "bullmq";
import { CellsamError } from "../errors.js";
import { type JobData, jobQueue, type RunData, runQueue } from "./messages.js";

const require = createRequire(import.meta.url);

/** Its tables are apart from those of other programs in the database. */
const schema = "cellsam";

export type QueueJob = Job<JobData, string>;

/** Pauses, in ms. */
export interface Timing {
  /** Between looks at the queue. */
  poll: number;
  /** Between signs of life of a run. */
  beat: number;
  /** A run without a sign of life for so long is over. */
  silence: number;
  /** A worker that has not renewed its claim of a job for so long has lost it. */
  lock: number;
  /** Between looks for such workers. */
  stalled: number;
}

export const usualTiming: Timing = { poll: 1000, beat: 5000, silence: 30_000, lock: 60_000, stalled: 15_000 };

export interface Server {
  jobs: Pick<Queue<JobData, string>, "add" | "getJob" | "getJobState" | "getJobLogs" | "addJobLog">;
  runs: Pick<Queue<RunData>, "add" | "getJob" | "remove">;
  /** Takes jobs, one at a call, and gives back those of workers that have died. */
  taker(timing: Timing): Promise<Pick<Worker<JobData, string>, "getNextJob">>;
  close(): Promise<void>;
}

interface Connected {
  on(event: "error", listener: () => void): unknown;
  waitUntilReady(): Promise<void>;
  close(): Promise<void>;
}

/** Connects, and makes or updates the tables. @throws CellsamError ERR_QUEUE */
export async function openServer(url: string): Promise<Server> {
  const { createPostgresBackend, withBackend } = bullmq();
  const { Queue, Worker } = withBackend(createPostgresBackend);
  const wait = { connectionTimeoutMillis: 10_000, query_timeout: 30_000, keepAlive: true };
  const connection = { connectionString: url, schema, migrate: true, max: 2, ...wait };
  const opened: Connected[] = [];
  const close = async () => {
    await Promise.all(opened.map((one) => one.close().catch(() => undefined)));
  };
  /** Errors of a connection are those of the calls that need it, which try again. */
  const ready = async <One extends Connected>(one: One): Promise<One> => {
    opened.push(one);
    one.on("error", () => undefined);
    await one.waitUntilReady().catch(async (error: Error) => {
      await close();
      throw unusable(url, error);
    });
    return one;
  };
  const keep = { defaultJobOptions: { removeOnFail: true } };
  return {
    jobs: await ready(new Queue<JobData, string>(jobQueue, { connection, ...keep })),
    runs: await ready(new Queue<RunData>(runQueue, { connection })),
    taker: async ({ lock, stalled }) => {
      // However often a job is given back, it is not given up: the machines and not the job may be the cause.
      const patient = { maxStalledCount: 1_000_000, stalledInterval: stalled, lockDuration: lock };
      const options = { connection, autorun: false, ...patient };
      const worker = await ready(new Worker<JobData, string>(jobQueue, null, options));
      await worker.startStalledCheckTimer();
      return worker;
    },
    close,
  };
}

/** The server and the database of a URL, without user and password. */
export function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

function bullmq(): typeof import("bullmq") {
  try {
    require.resolve("pg");
    return require("bullmq") as typeof import("bullmq");
  } catch (cause) {
    const message = "a queue needs two packages that are not installed here: npm install bullmq pg";
    throw new CellsamError("ERR_QUEUE", message, { cause });
  }
}

function unusable(url: string, cause: Error & { code?: unknown }): CellsamError {
  const why = cause.message || String(cause.code);
  const message = `the queue at ${placeOf(url)} cannot be used: ${why}. It has to be a database of PostgreSQL 13 or newer in which this user may create a schema`;
  return new CellsamError("ERR_QUEUE", message, { cause, detail: { queue: placeOf(url) } });
}
