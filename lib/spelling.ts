/** Renames keys between camelCase, as TypeScript has them, and snake_case, as files and Python have them. */
import { CellsamError } from "./errors.js";

/** Names of the Python module that are called otherwise here. */
const renamed: Record<string, string> = { random_seed: "seed" };

/** Settings whose value is a mapping with names of its own: it counts as one value, and its keys keep their spelling. */
export const opaque = new Set(["sizeOverrides"]);

export function snakeCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
}

export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The name of a setting whose key may be in either spelling, or the Python module's. */
export function toCamelName(name: string): string {
  return renamed[name] ?? camelCase(name);
}

/** The name and value of an entry, whatever its spelling: `use_scheduler` becomes the scheduler that it switches on. */
export function toCamelEntry(key: string, value: unknown): [name: string, value: unknown] {
  if (key === "use_scheduler" && typeof value === "boolean") return ["scheduler", value ? "plateau" : "none"];
  return [toCamelName(key), value];
}

/** Whether `value` is an object that is neither a list nor a typed array. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/**
 * Renames snake_case keys to camelCase, at every depth, and drops undefined values.
 * @throws CellsamError ERR_CONFIG for a key in two spellings
 */
export function fromSnake(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromSnake);
  if (!isPlain(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, given] of Object.entries(value)) {
    if (given === undefined) continue;
    const [name, entry] = toCamelEntry(key, given);
    if (Object.hasOwn(result, name)) throw new CellsamError("ERR_CONFIG", `${key}: ${name} is given twice, in two spellings`);
    result[name] = opaque.has(name) ? entry : fromSnake(entry);
  }
  return result;
}

/** Renames camelCase keys to snake_case, at every depth, as result files have them. */
export function toSnake(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toSnake);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [snakeCase(key), toSnake(entry)]));
}
