/**
 * Draws and resizes pictures in a process of its own. Where memory is limited, the libraries behind sharp end their process
 * instead of failing: that must not be the process of a training.
 */
import { type ChildProcess, fork } from "node:child_process";
import { compiledFile } from "../compiledFile.js";
import { CellsamError } from "../errors.js";
import { endedBy } from "../processEnd.js";

export type ImagingTask =
  /** An SVG without text as PNG. */
  | { kind: "chart"; svg: string; density: number }
  /** An SVG without text as RGB pixels. */
  | { kind: "pixels"; svg: string }
  /** An image file as WebP, at most `width` pixels wide. */
  | { kind: "thumbnail"; path: string; width: number };

export type ImagingReply = { id: number } & ({ bytes: Uint8Array } | { message: string });

interface Pending {
  resolve: (bytes: Buffer) => void;
  reject: (error: Error) => void;
}

/** The process ends after so long without work, and with this one. */
const quietMs = 2000;

/** The running process, and who waits for what of it. */
interface Running {
  child: ChildProcess;
  pending: Map<number, Pending>;
}

let running: Running | undefined;
let timer: NodeJS.Timeout | undefined;
let tasks = 0;

/** Returns the bytes of the picture. @throws CellsamError ERR_PICTURE */
export function drawn(task: ImagingTask): Promise<Buffer> {
  clearTimeout(timer);
  running ??= start();
  const { child, pending } = running;
  child.ref();
  child.channel?.ref();
  const id = tasks++;
  const bytes = new Promise<Buffer>((resolve, reject) => pending.set(id, { resolve, reject }));
  child.send({ id, task }, () => undefined); // a process that is gone tells its exit
  return bytes;
}

function start(): Running {
  const entry = compiledFile("report/imagingProcess.js");
  const child = fork(entry, [], { execArgv: [], serialization: "advanced", stdio: ["ignore", "ignore", "ignore", "ipc"] });
  const started: Running = { child, pending: new Map() };
  const { pending } = started;
  child.on("message", (reply: ImagingReply) => {
    const waiting = pending.get(reply.id);
    pending.delete(reply.id);
    if ("bytes" in reply) waiting?.resolve(Buffer.from(reply.bytes));
    else waiting?.reject(failed(reply.message));
    if (pending.size === 0) rest(started);
  });
  const gone = (how: string) => {
    if (running === started) running = undefined;
    for (const { reject } of pending.values()) reject(failed(how));
    pending.clear();
  };
  child.on("error", (error) => gone(error.message));
  child.on("exit", (code, signal) => gone(`its process ended with ${endedBy(code, signal) ?? `code ${code}`}`));
  return started;
}

/** An idle process does not keep this one alive, and ends soon. */
function rest(idle: Running): void {
  idle.child.unref();
  idle.child.channel?.unref();
  timer = setTimeout(() => {
    if (running === idle) running = undefined;
    idle.child.kill("SIGKILL");
  }, quietMs).unref();
}

const failed = (reason: string) => new CellsamError("ERR_PICTURE", `a picture could not be drawn: ${reason}`);
