/** The call of cellsam that a batch system makes, and its words in a shell. */
import { join } from "node:path";
import { packageFolder } from "../version.js";

/** What a batch system can run: how the work is divided, and whether it goes on after it was stopped. */
export type BatchCommand = "train" | "search" | "predict" | "evaluate";

/** A command of which each process does a share of the images. */
export function isSharded(command: BatchCommand): boolean {
  return command === "predict" || command === "evaluate";
}

/**
 * node and the program by their full paths. Not npx: it ends at TERM without waiting for node, and USR1 opens its debugger.
 */
export function ownProgram(): string[] {
  return [process.execPath, join(packageFolder, "dist", "cli", "main.js")];
}

/** A word as a shell reads it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
