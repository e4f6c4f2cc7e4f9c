/**
 * Renames keys between the camelCase of TypeScript and the snake_case of the engine. Only names of options and of fields of
 * results are renamed; keys that are data, such as names of losses, stay as they are.
 */
import { camelCase, snakeCase } from "../spelling.js";

/** Fields whose value has keys that are data: nothing is renamed inside. */
const dataKeys = new Set(["losses", "detail"]);

/** `options` with snake_case names, at all depths. Undefined options are left out. */
export function toBorder(options: object): Record<string, unknown> {
  return mapKeys(options, snakeCase) as Record<string, unknown>;
}

/** A result or event of the engine with camelCase names, at all depths. */
export function fromBorder(result: unknown): unknown {
  return mapKeys(result, camelCase);
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
