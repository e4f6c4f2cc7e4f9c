/**
 * Decodes files on two worker threads, which start with the first file and end after a second without work. A worker that dies
 * fails only the file that it was reading.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { CellsamError, type ErrorCode } from "../errors.js";
import { type Survey, surveyAnnotation } from "./annotationFile.js";
import type { DecodeOptions, LabelMap, LabelOptions, NdImage, StoredImage } from "./image.js";
import { readImage, readLabels, readStored } from "./reader.js";

export type { DecodeOptions, LabelMap, LabelOptions, NdImage } from "./image.js";

const THREADS = 2;
const QUIET_MS = 1000;
const ENTRY = new URL("./decodeWorker.js", import.meta.url);
// Under the test runner the sources are not compiled and there is no worker file: decoding then runs on the calling thread.
const threaded = existsSync(fileURLToPath(ENTRY));

export interface Request {
  kind: "image" | "stored" | "labels" | "survey";
  path: string;
  options: LabelOptions;
}

/** `ready` is the first message: the thread has loaded all that decoding needs. */
export type Reply =
  | { ready: true }
  | { ok: true; value: NdImage | StoredImage | LabelMap | Survey }
  | { ok: false; code: ErrorCode; message: string; detail: Record<string, unknown> };

interface Job {
  request: Request;
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

interface Thread {
  worker: Worker;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
  ready: boolean;
}

const queue: Job[] = [];
const threads = new Set<Thread>();

/**
 * Decodes an image of any format that docs/formats.md lists.
 *
 * @returns pixels [H,W] or [H,W,3] as uint8, uint16 or float32, unscaled
 * @throws CellsamError ERR_FILE, ERR_IMAGE_BROKEN, ERR_IMAGE_UNSUPPORTED, ERR_IMAGE_TOO_LARGE or ERR_IMAGE_VALUES, with the
 * file's path in front;
 *   ERR_INTERNAL when no image can be decoded at all
 */
export function decodeImage(path: string, options: DecodeOptions = {}): Promise<NdImage> {
  return threaded ? submit<NdImage>({ kind: "image", path, options }) : readImage(path, options);
}

/** The pixels of an image as its file stores them. @throws CellsamError as decodeImage, but for ERR_IMAGE_VALUES */
export function decodeStored(path: string, options: DecodeOptions = {}): Promise<StoredImage> {
  return threaded ? submit<StoredImage>({ kind: "stored", path, options }) : readStored(path, options);
}

/**
 * Decodes a label map [H,W] as int32, ids as in the file; from annotations of objects (`options.annotation`) ids 1..N in file
 * order.
 *
 * @throws CellsamError as decodeImage, ERR_LABEL_VALUES when the values are no label map, ERR_ANNOTATION for annotations that
 * cannot be understood
 */
export function decodeLabels(path: string, options: LabelOptions = {}): Promise<LabelMap> {
  return threaded ? submit<LabelMap>({ kind: "labels", path, options }) : readLabels(path, options);
}

/** What a file of objects is. @throws CellsamError ERR_ANNOTATION, ERR_FILE */
export function surveyObjects(path: string): Promise<Survey> {
  return threaded ? submit<Survey>({ kind: "survey", path, options: {} }) : surveyAnnotation(path);
}

function submit<T>(request: Request): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    queue.push({ request, resolve: resolve as Job["resolve"], reject });
    const idle = [...threads].find((thread) => !thread.job);
    if (idle) next(idle);
    else if (threads.size < THREADS) next(start());
  });
}

function start(): Thread {
  // workerData: geotiff imports the web-worker package, which dies in a thread whose workerData is not an object.
  // execArgv: flags of the main script (--input-type, --eval) do not suit a file and end the thread.
  const worker = new Worker(ENTRY, { workerData: {}, execArgv: [] });
  const thread: Thread = { worker, job: undefined, timer: undefined, ready: false };
  threads.add(thread);
  thread.worker.on("message", (reply: Reply) => {
    if ("ready" in reply) {
      thread.ready = true;
      if (thread.job) worker.postMessage(thread.job.request);
      return;
    }
    const job = thread.job;
    thread.job = undefined;
    if (reply.ok) job?.resolve(reply.value as never);
    else job?.reject(new CellsamError(reply.code, reply.message, { detail: reply.detail }));
    next(thread);
  });
  const gone = (cause?: unknown) => {
    if (!threads.delete(thread)) return;
    clearTimeout(thread.timer);
    thread.job?.reject(endedBy(cause, thread.ready, thread.job.request.path));
    if (queue.length > 0) next(start());
  };
  thread.worker.on("error", gone);
  thread.worker.on("exit", () => gone());
  return thread;
}

function endedBy(cause: unknown, ready: boolean, path: string): CellsamError {
  const reason = cause instanceof Error ? ` (${cause.message})` : "";
  return ready
    ? new CellsamError("ERR_IMAGE_BROKEN", `${path}: decoding it ended the decode thread${reason}`, { detail: { path }, cause })
    : new CellsamError("ERR_INTERNAL", `the thread that decodes images could not start${reason}; reinstall the package`, {
        cause,
      });
}

/** Gives a thread the next job, or lets it end. An idle thread never keeps the process alive; a busy one does. */
function next(thread: Thread): void {
  clearTimeout(thread.timer);
  thread.job = queue.shift();
  if (thread.job) {
    thread.worker.ref();
    // A starting thread gets its job when it is ready: an error before that is not caused by the file.
    if (thread.ready) thread.worker.postMessage(thread.job.request);
    return;
  }
  thread.worker.unref();
  thread.timer = setTimeout(() => {
    threads.delete(thread);
    void thread.worker.terminate();
  }, QUIET_MS);
  thread.timer.unref();
}
