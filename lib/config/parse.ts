/**
 * Checks input and turns it into a configuration. All problems are reported in one error, each with its key, the allowed range
 * and, for an unknown key, the nearest known one.
 */
import type { z } from "zod";
import { CellsamError } from "../errors.js";
import { nearest } from "../nearest.js";
import { fromSnake, snakeCase } from "../spelling.js";
import { zod } from "./fields.js";

export interface ConfigProblem {
  key: string;
  message: string;
}

function unwrap(schema: unknown): unknown {
  let inner = schema;
  while (
    inner instanceof zod().ZodOptional ||
    inner instanceof zod().ZodDefault ||
    inner instanceof zod().ZodPrefault ||
    inner instanceof zod().ZodNullable
  ) {
    inner = inner.unwrap();
  }
  return inner;
}

/** The schema of the setting at `path`, without its default; undefined where there is none. */
export function fieldAt(schema: z.ZodType, path: readonly PropertyKey[]): unknown {
  let inner = unwrap(schema);
  for (const step of path) {
    inner = inner instanceof zod().ZodObject ? unwrap(inner.shape[step as string]) : undefined;
  }
  return inner;
}

/** The keys that `schema` knows at `path`. */
export function knownKeys(schema: z.ZodType, path: readonly PropertyKey[] = []): string[] {
  const inner = fieldAt(schema, path);
  return inner instanceof zod().ZodObject ? Object.keys(inner.shape) : [];
}

/** The message for a key that is none of `known`. */
export function unknownKey(key: string, known: string[]): string {
  const meant = nearest(key, known);
  if (!meant)
    return known.length > 20
      ? "unknown key; `cellsam schema` lists the known ones"
      : `unknown key; known are ${known.join(", ")}`;
  const snake = snakeCase(meant);
  return `unknown key; did you mean ${meant}${snake === meant ? "" : ` (${snake} in files)`}?`;
}

/** The message for a key that is none of `known`, but near to a key of another group, as total_epochs beside stage1_config. */
function elsewhere(schema: z.ZodType, key: string, known: string[]): string | undefined {
  const groups = knownKeys(schema).filter((group) => knownKeys(schema, [group]).length > 0);
  const all = new Set([...known, ...knownKeys(schema), ...groups.flatMap((group) => knownKeys(schema, [group]))]);
  const meant = nearest(key, all);
  if (!meant || known.includes(meant)) return undefined;
  const paths = groups.filter((group) => knownKeys(schema, [group]).includes(meant)).map((group) => [group, meant]);
  if (knownKeys(schema).includes(meant)) paths.unshift([meant]);
  return `unknown key here; did you mean ${paths.map((path) => path.map(snakeCase).join(".")).join(" or ")}?`;
}

function problemsOf(schema: z.ZodType, error: z.ZodError): ConfigProblem[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      const known = knownKeys(schema, issue.path);
      return issue.keys.map((key) => {
        const message = elsewhere(schema, key, known) ?? unknownKey(key, known);
        return { key: [...issue.path, key].join("."), message };
      });
    }
    const missing = issue.code === "invalid_type" && issue.input === undefined;
    const key = issue.path.join(".");
    const snake = snakeCase(key);
    const missingText = snake === key ? "is missing" : `is missing (${snake} in files)`;
    return [{ key, message: missing ? `${missingText}, ${issue.message}` : issue.message }];
  });
}

/** An ERR_CONFIG error that lists `problems`, one per line. */
export function configError(title: string, problems: ConfigProblem[]): CellsamError {
  const lines = problems.map(({ key, message }) => (key ? `${key}: ${message}` : message));
  return new CellsamError("ERR_CONFIG", lines.length === 1 ? `${title}: ${lines[0]}` : `${title}:\n  ${lines.join("\n  ")}`, {
    detail: { problems },
  });
}

/**
 * Checks `input` (camelCase or snake_case keys) against `schema` and fills in the defaults. `prepare` gets the input with
 * camelCase keys, and may add defaults that depend on it.
 * @throws CellsamError ERR_CONFIG with every problem in `detail.problems`
 */
export function parseConfig<S extends z.ZodType>(
  title: string,
  schema: S,
  input: unknown,
  prepare: (config: unknown) => unknown = (config) => config,
): z.output<S> {
  const result = schema.safeParse(prepare(fromSnake(input)), { reportInput: true });
  if (!result.success) throw configError(title, problemsOf(schema, result.error));
  return result.data;
}
