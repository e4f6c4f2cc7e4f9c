/**
 * The log file of an experiment: one line per message, `time - logger name - LEVEL - message`, as Python's logging writes it.
 */
import { AppendedFile, type OnWriteFailure } from "./appendedFile.js";

export type Level = "DEBUG" | "INFO" | "WARNING" | "ERROR";
const order: readonly Level[] = ["DEBUG", "INFO", "WARNING", "ERROR"];

/** Local time as Python's logging writes it: 2026-11-23 12:30:00,123. */
export function timestamp(now: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
  return `${date} ${time},${String(now.getMilliseconds()).padStart(3, "0")}`;
}

export class Log {
  readonly #file: AppendedFile;
  readonly #level: Level;

  /** `onFailure` is told when the file cannot be written any longer, which never throws. */
  constructor(path: string, level: Level = "INFO", onFailure?: OnWriteFailure) {
    this.#file = new AppendedFile(path, onFailure);
    this.#level = level;
  }

  /**
   * Appends a line, synchronously, so that the last messages before a crash are in the file. Further lines of a message are
   * indented.
   */
  write(level: Level, logger: string, message: string): void {
    if (order.indexOf(level) < order.indexOf(this.#level)) return;
    this.#file.append(`${timestamp(new Date())} - ${logger} - ${level} - ${message.replaceAll("\n", "\n  ")}\n`);
  }

  debug(logger: string, message: string): void {
    this.write("DEBUG", logger, message);
  }

  info(logger: string, message: string): void {
    this.write("INFO", logger, message);
  }

  warning(logger: string, message: string): void {
    this.write("WARNING", logger, message);
  }

  error(logger: string, message: string): void {
    this.write("ERROR", logger, message);
  }
}
