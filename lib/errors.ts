/**
 * The one error class that callers of the package see. `code` is stable and made for programs, `message` says what to do,
 * `detail` holds the facts of the case (paths, names, sizes) as plain JSON.
 */

export const errorCodes = {
  /** An argument or option has the wrong type, an unknown name or a value out of range. */
  ERR_INVALID_ARGUMENT: "ERR_INVALID_ARGUMENT",
  /** No libtorch was found; `cellsam setup` fetches one. */
  ERR_LIBTORCH_NOT_FOUND: "ERR_LIBTORCH_NOT_FOUND",
  /** A libtorch was found, but no engine of this package was built for its major.minor version. */
  ERR_LIBTORCH_VERSION: "ERR_LIBTORCH_VERSION",
  /** A native library is there but cannot be loaded. */
  ERR_NATIVE_LOAD: "ERR_NATIVE_LOAD",
  /** CUDA was asked for, and the GPU driver is older than the CUDA of this libtorch. */
  ERR_CUDA_DRIVER_TOO_OLD: "ERR_CUDA_DRIVER_TOO_OLD",
  /** The session, or the whole environment, was closed before the command could run or end. */
  ERR_DISPOSED: "ERR_DISPOSED",
  /** A command was cancelled. Callers of a session see the reason of their AbortSignal instead. */
  ERR_CANCELLED: "ERR_CANCELLED",
  /** Not enough memory, of the host or of the device. */
  ERR_OUT_OF_MEMORY: "ERR_OUT_OF_MEMORY",
  /** torch would compute bf16 attention on the GPU with the formula that keeps every score in memory. */
  ERR_SLOW_ATTENTION: "ERR_SLOW_ATTENTION",
  /** A hyper-parameter search would have more trials than `maxTrials`. */
  ERR_SEARCH_SIZE: "ERR_SEARCH_SIZE",
  /** Another process is searching in the same folder. */
  ERR_SEARCH_RUNNING: "ERR_SEARCH_RUNNING",
  /** No trial of a search completed, so none is the best. */
  ERR_SEARCH_FAILED: "ERR_SEARCH_FAILED",
  /** Of a trial: its results do not hold the number that the search ranks by. */
  ERR_NO_METRIC: "ERR_NO_METRIC",
  /** Of a trial: its process ended without a result. */
  ERR_TRIAL_DIED: "ERR_TRIAL_DIED",
  /** A fault of this package. */
  ERR_INTERNAL: "ERR_INTERNAL",
} as const;

/** The codes that this layer throws itself; the engine and the other families add their own, all of the form `ERR_...`. */
export type KnownErrorCode = keyof typeof errorCodes;
export type ErrorCode = KnownErrorCode | (`ERR_${string}` & {});

export class CellsamError extends Error {
  readonly code: ErrorCode;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { detail?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CellsamError";
    this.code = code;
    this.detail = options.detail ?? {};
  }

  toJSON(): { name: string; code: ErrorCode; message: string; detail: Readonly<Record<string, unknown>> } {
    return { name: this.name, code: this.code, message: this.message, detail: this.detail };
  }
}

/** Native errors arrive as plain `Error`s with `code` and `detail`; everything else passes through unchanged. */
export function toCellsamError(error: unknown): unknown {
  if (error instanceof CellsamError || !(error instanceof Error)) return error;
  const { code, detail } = error as Error & { code?: unknown; detail?: unknown };
  if (typeof code !== "string" || !code.startsWith("ERR_") || detail === undefined) return error;
  return new CellsamError(code as ErrorCode, error.message, { detail: detail as Record<string, unknown>, cause: error });
}
