/** The kinds of values that the schemas are made of. Every message names the whole allowed range, not only the bound that was hit. */

import { lazily } from "../lazily.js";
import { nearest } from "./nearest.js";

/** The library of the schemas, which are built when they are first used. */
export const zod = lazily<typeof import("zod")>("zod");

/** `limits`: the range in the words of JSON Schema. */
function bounded(range: string, inside: (value: number) => boolean, limits: Record<string, unknown>) {
  const error = `must be ${range}`;
  return zod()
    .number({ error })
    .refine((value) => Number.isFinite(value) && inside(value), { error })
    .meta(limits);
}

export const positive = () => bounded("a finite number > 0", (v) => v > 0, { exclusiveMinimum: 0 });
export const nonNegative = () => bounded("a finite number >= 0", (v) => v >= 0, { minimum: 0 });
export const atLeastOne = () => bounded("a finite number >= 1", (v) => v >= 1, { minimum: 1 });
/** [0, 1] */
export const ratio = () => bounded("a number from 0 to 1", (v) => v >= 0 && v <= 1, { minimum: 0, maximum: 1 });
/** (0, 1] */
export const fraction = () => bounded("a number > 0 and <= 1", (v) => v > 0 && v <= 1, { exclusiveMinimum: 0, maximum: 1 });
/** [0, below) */
export const ratioBelow = (below: number) =>
  bounded(`a number >= 0 and < ${below}`, (v) => v >= 0 && v < below, { minimum: 0, exclusiveMaximum: below });
/** (0, 1) */
export const openRatio = () =>
  bounded("a number > 0 and < 1", (v) => v > 0 && v < 1, { exclusiveMinimum: 0, exclusiveMaximum: 1 });

export function integer(min: number, max = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `an integer >= ${min}` : `an integer from ${min} to ${max}`;
  return bounded(range, (v) => Number.isInteger(v) && v >= min && v <= max, {
    type: "integer",
    minimum: min,
    ...(max < Number.MAX_SAFE_INTEGER && { maximum: max }),
  });
}

/** 0, which switches something off, or an integer of the range. */
export const zeroOrInteger = (min: number, max: number) =>
  bounded(`0 or an integer from ${min} to ${max}`, (v) => v === 0 || (Number.isInteger(v) && v >= min && v <= max), {
    type: "integer",
    minimum: 0,
    maximum: max,
  });

export function choice<const T extends readonly [string, ...string[]]>(names: T) {
  return zod().enum(names, {
    error: (issue) => {
      const meant = typeof issue.input === "string" ? nearest(issue.input, names) : undefined;
      return `must be one of ${names.join(", ")}${meant ? ` (did you mean ${meant}?)` : ""}`;
    },
  });
}

export const flag = () => zod().boolean({ error: "must be true or false" });
export const path = () =>
  zod()
    .string({ error: "must be a path" })
    .min(1, { error: "must not be empty" })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: "C:\new" in double quotes has a line break in it
    .refine((text) => !/[\u0000-\u001f]/.test(text), {
      error: "must be a path: in double quotes a backslash begins an escape, so write / or single quotes",
    });
