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
  /** The objects that it concerns, where it concerns some of a file's. */
  tally?: Tally;
}

/** A count of objects of annotations about which the same was decided. */
export interface Tally {
  /** What the counted objects have in common, such as "objects outside the image". */
  what: string;
  count: number;
  /** Of how many. */
  of: number;
  /** The first few of them. */
  names: string[];
  /** What else there is to say, for the first file where it occurs. */
  hint?: string;
  /** What to do about it, where it is a problem. */
  fix?: string;
}
