/**
 * camelCase of TypeScript <-> snake_case of the border. Only names of options and of answers are mapped; keys that are data
 * (names of losses, names of tensors) pass through untouched.
 */
import { camelCase, snakeCase } from "../spelling.js";

/** Answers whose keys are data: the value under these names is not looked into. */
const dataKeys = new Set(["losses", "detail"]);

/** `options` with snake_case names, at all depths. Absent (undefined) options are left out. */
export function toBorder(options: object): Record<string, unknown> {
  return mapKeys(options, snakeCase) as Record<string, unknown>;
}

/** An answer of the engine with camelCase names. */
export function fromBorder(answer: unknown): unknown {
  return mapKeys(answer, camelCase);
}

function mapKeys(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => mapKeys(item, rename));
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value) || isNdArray(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue;
    result[rename(name)] = dataKeys.has(name) ? item : mapKeys(item, rename);
  }
  return result;
}

function isNdArray(value: object): boolean {
  return "data" in value && "shape" in value && ArrayBuffer.isView(value.data);
}
