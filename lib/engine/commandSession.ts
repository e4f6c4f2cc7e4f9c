/** What both kinds of native session share: sending commands, signals and the end of life. */
import { CellsamError } from "../errors.js";
import { fromBorder, toBorder } from "./names.js";
import type { NativeJob, NativeSession } from "./native.js";

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

  /** Runs one command; an abort asks it to stop and then rejects with the signal's reason. */
  protected async command<T = unknown>(
    name: string,
    args: Record<string, unknown> = {},
    signal?: AbortSignal,
    onEvent?: (event: unknown) => void,
  ): Promise<T> {
    signal?.throwIfAborted();
    try {
      const answer = await this.send<T>(name, args, signal, onEvent);
      signal?.throwIfAborted();
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  /** Runs one command whose answer to an abort is an ordinary result. */
  protected async send<T>(
    name: string,
    args: Record<string, unknown>,
    signal: AbortSignal | undefined,
    onEvent?: (event: unknown) => void,
  ): Promise<T> {
    if (this.disposed) throw new CellsamError("ERR_DISPOSED", `${name}: the session was disposed of; open a new one`);
    const hear = onEvent && ((event: unknown) => onEvent(fromBorder(event)));
    const job: NativeJob = this.#native.call(name, toBorder(args), hear, signal?.aborted);
    const cancel = () => job.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      const answer = await job.promise;
      return (name === "digest" ? answer : fromBorder(answer)) as T; // the keys of a digest are names of tensors
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }
}
