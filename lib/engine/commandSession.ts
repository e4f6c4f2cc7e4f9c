/** What both kinds of native session have in common: sending commands, cancelling them by a signal, and disposal. */
import { CellsamError } from "../errors.js";
import { fromBorder, toBorder } from "./names.js";
import type { NativeJob, NativeSession } from "./native.js";

/** How a command runs. */
export interface CommandOptions {
  signal?: AbortSignal | undefined;
  onEvent?: ((event: unknown) => void) | undefined;
  /** Of how many commands that run at the same time it may be one. Default 1: it runs alone. */
  atOnce?: number;
}

/** Commands of one session start in the order in which they were sent. */
export class CommandSession {
  readonly #native: NativeSession;
  #closing: Promise<void> | undefined;

  constructor(native: NativeSession) {
    this.#native = native;
  }

  get disposed(): boolean {
    return this.#closing !== undefined;
  }

  dispose(): Promise<void> {
    this.#closing ??= this.#native.dispose();
    return this.#closing;
  }

  [Symbol.dispose](): void {
    void this.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Runs one command. An abort asks it to stop, and the promise then rejects with the signal's reason. */
  protected async command<T = unknown>(
    name: string,
    args: Record<string, unknown> = {},
    options: CommandOptions = {},
  ): Promise<T> {
    const { signal } = options;
    signal?.throwIfAborted();
    try {
      const result = await this.send<T>(name, args, options);
      signal?.throwIfAborted();
      return result;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  /** Runs one command that returns an ordinary result also when it was aborted. */
  protected async send<T>(
    name: string,
    args: Record<string, unknown>,
    { signal, onEvent, atOnce }: CommandOptions,
  ): Promise<T> {
    if (this.disposed) throw new CellsamError("ERR_DISPOSED", `${name}: the session was disposed of; open a new one`);
    const listener = onEvent && ((event: unknown) => onEvent(fromBorder(event)));
    const job: NativeJob = this.#native.call(name, toBorder(args), listener, signal?.aborted, atOnce);
    const cancel = () => job.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      const result = await job.promise;
      return (name === "digest" ? result : fromBorder(result)) as T; // the keys of a digest are names of tensors
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }
}
