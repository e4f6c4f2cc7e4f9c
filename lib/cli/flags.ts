/** Parsers of flag values. A wrong value is a usage error that names the flag. */
import { InvalidArgumentError } from "commander";
import { CellsamError } from "../errors.js";

export function numberFlag(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("expected a number");
  return value;
}

export function integerFlag(text: string): number {
  const value = numberFlag(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError("expected a whole number");
  return value;
}

/** Collects the values of a repeatable flag. */
export function repeated(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** The options that were given. */
export function given<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

/** The same error in the words of the command line: `names` has the flag of each option of the API that its message may name. */
export function inFlags(error: unknown, names: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof CellsamError)) return error;
  const message = error.message.replace(/(?<![\w./\\-])[a-z]\w*(?![\w./\\-])/gi, (word) =>
    Object.hasOwn(names, word) ? (names[word] as string) : word,
  );
  return new CellsamError(error.code, message, { detail: error.detail, cause: error.cause });
}
