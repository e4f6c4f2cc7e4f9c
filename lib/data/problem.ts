/** What the checks of a data set collect. */
import type { ErrorCode } from "../errors.js";

/** One thing that is wrong with a data set. They are collected, so that a user repairs a folder once and not file by file. */
export interface Problem {
  code: ErrorCode;
  /** The file or folder. */
  path: string;
  message: string;
  /** What to do about it. */
  fix: string;
}
