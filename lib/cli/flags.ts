/** Parsers of flag values. A wrong value is a usage error that names the flag. */
import { InvalidArgumentError } from "commander";
import { type Shard, shardOf } from "../predict/shard.js";

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

export const shardHelp = "do share i of n; auto/n: that of this task of a Slurm array or pod of a Kubernetes Indexed Job";

export function shardFlag(text: string): Shard {
  try {
    return shardOf(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** Collects the values of a repeatable flag. */
export function repeated(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** The options that were given. */
export function given<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

/** The options of the API that a message may tell to set, and their flags. */
const switches: Readonly<Record<string, string>> = {
  overwrite: "--overwrite",
  resume: "--resume",
  skipExisting: "--skip-existing",
};
const required: Readonly<Record<string, string>> = { imgPath: "--images", maskPath: "--masks", outputName: "--name" };

/** A message of the API in the words of the command line: `overwrite: true` becomes --overwrite. */
export function inFlags(message: string): string {
  return message
    .replace(/`(\w+): true`/g, (text, name: string) => switches[name] ?? text)
    .replace(/\b(\w+): is missing \((\w+) in files\)/g, (text, name: string, key: string) =>
      required[name] ? `${required[name]} (${key} in files) is missing` : text,
    );
}
