/** How a command ends: the exit code for every kind of error, and its message. */
import { CommanderError } from "commander";
import { inFileSpelling } from "../config/fileSpelling.js";
import { CellsamError, failureOf, isMachineFault } from "../errors.js";
import { strictJson } from "../files/json.js";
import { inFlags } from "./flags.js";

export const exitCodes = { ok: 0, failed: 1, input: 2, notSetUp: 3, stopped: 75 } as const;

const notSetUp = /^ERR_(LIBTORCH_\w+|CUDA_\w+|NATIVE_LOAD|SETUP|DOWNLOAD|ARCHIVE|CHECKSUM)$/;
/** Errors that the user can correct in the files and flags of the call. */
const call =
  /^ERR_(CONFIG|INVALID_\w+|DEVICE_UNAVAILABLE|OUTPUT_EXISTS|LOCKED|SEARCH_SIZE|SEARCH_RUNNING|NOTHING_TO_RESUME|RESUME|INCOMPLETE|QUEUE)$/;
const data =
  /^ERR_(DATASET|SPLIT|FILE|PATH|NO_DATA|IMAGE_\w+|LABEL_\w+|CHECKPOINT_(CORRUPT|FORMAT|MISMATCH|NOT_FINITE|READ|UNSAFE))$/;

const unexpected = "\nThis is a fault of cellsam-train. Run again with --debug and report what it prints.";
/** What to do about limits of the system, by its codes. */
const advice: Record<string, string> = {
  EMFILE: "\nThis process may open no more files. Raise the limit, which `ulimit -n` prints: ulimit -n 4096",
};

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.input;
  if (!(error instanceof CellsamError)) return exitCodes.failed;
  if (error.code === "ERR_STOPPED") return exitCodes.stopped;
  // A full disk is no fault of the call, whatever could not be written.
  if (isMachineFault(failureOf(error))) return exitCodes.failed;
  if (notSetUp.test(error.code)) return exitCodes.notSetUp;
  return call.test(error.code) || data.test(error.code) ? exitCodes.input : exitCodes.failed;
}

/** Prints the error on stderr, and with `json` also on stdout; with `debug` with its stack. */
export function reportError(
  error: unknown,
  { json = false, debug = false }: { json?: boolean | undefined; debug?: boolean | undefined },
): void {
  if (error instanceof CommanderError) return; // commander has printed it already
  const known = error instanceof CellsamError;
  const { code, system = "", ...failure } = failureOf(error);
  const message = inFlags(failure.message);
  const hint = code === "ERR_UNEXPECTED" ? unexpected : (advice[system] ?? "");
  process.stderr.write(`${code}: ${inFileSpelling(message)}${hint}\n`);
  if (debug && error instanceof Error && error.stack) process.stderr.write(`${error.stack}\n`);
  if (json) process.stdout.write(`${strictJson({ type: "error", code, message, detail: known ? error.detail : {} }, 0)}\n`);
}
