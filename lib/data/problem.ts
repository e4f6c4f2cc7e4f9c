/** What the checks of a data set report. */
import type { ErrorCode } from "../errors.js";

/** One problem of a data set. Problems are collected, so that a user can correct a folder at once and not file by file. */
export interface Problem {
  code: ErrorCode;
  /** The file or folder. */
  path: string;
  message: string;
  /** What to do about it. */
  fix: string;
  /** The settings that mend it, where settings do. */
  settings?: { binaryMasks: true } | { relabel: "connected" };
}
