/** Bridges to the Python module's spelling: snake_case keys of YAML and JSON files, names that changed, and back. */
import { CellsamError } from "./errors.js";

/** Names of the Python module whose camelCase form is not ours. */
const renamed: Record<string, string> = { random_seed: "seed" };

/** Keys whose values are not configuration of ours: they keep their spelling and are one value, not a group of settings. */
export const opaque = new Set(["sizeOverrides"]);

export function snakeCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
}

export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

export function toCamelName(name: string): string {
  return renamed[name] ?? camelCase(name);
}

/** The name and value that an entry stands for: `use_scheduler` becomes the scheduler that it switches on. */
export function toCamelEntry(key: string, value: unknown): [name: string, value: unknown] {
  if (key === "use_scheduler" && typeof value === "boolean") return ["scheduler", value ? "plateau" : "none"];
  return [toCamelName(key), value];
}

export function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** Renames snake_case keys to camelCase, at every depth. Undefined values are unset. */
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

/** Renames camelCase keys to snake_case, at every depth: the spelling of the result files. */
export function toSnake(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toSnake);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [snakeCase(key), toSnake(entry)]));
}
