/** Building blocks of the schemas. Every message names the whole allowed range, not only the bound that was exceeded. */

import type { z } from "zod";
import { lazily } from "../lazily.js";
import { nearest } from "../nearest.js";
import {
  type ChoiceSetting,
  type DescribedNumber,
  expected,
  type FlagSetting,
  inRange,
  type Range,
  type Setting,
} from "../settings/kinds.js";

/** zod, loaded on first use; schemas are also built on first use. */
export const zod = lazily<typeof import("zod")>("zod");

function bounded(range: Range & { type: "number" | "integer" }) {
  const error = `must be ${expected({ ...range, default: null })}`;
  return zod()
    .number({ error })
    .refine((value) => inRange(value, range), { error })
    .meta(limits(range));
}

/** The range in the words of JSON Schema. */
function limits({ type, minimum, exclusiveMinimum, maximum, exclusiveMaximum, orZero }: Range & { type: string }) {
  const least = orZero ? 0 : minimum;
  return {
    ...(type === "integer" && { type }),
    ...(least !== undefined && { minimum: least }),
    ...(exclusiveMinimum !== undefined && { exclusiveMinimum }),
    ...(maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && { maximum }),
    ...(exclusiveMaximum !== undefined && { exclusiveMaximum }),
  };
}

export const positive = () => bounded({ type: "number", exclusiveMinimum: 0 });
export const nonNegative = () => bounded({ type: "number", minimum: 0 });
/** [0, 1] */
export const ratio = () => bounded({ type: "number", minimum: 0, maximum: 1 });
/** (0, 1] */
export const fraction = () => bounded({ type: "number", exclusiveMinimum: 0, maximum: 1 });
/** [0, below) */
export const ratioBelow = (below: number) => bounded({ type: "number", minimum: 0, exclusiveMaximum: below });
/** (0, 1) */
export const openRatio = () => bounded({ type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 });

export const integer = (minimum: number, maximum?: number) =>
  bounded({ type: "integer", minimum, ...(maximum !== undefined && { maximum }) });

export function choice<const T extends readonly [string, ...string[]]>(names: T) {
  return zod().enum(names, {
    error: (issue) => {
      const meant = typeof issue.input === "string" ? nearest(issue.input, names) : undefined;
      return `must be one of ${names.join(", ")}${meant ? ` (did you mean ${meant}?)` : ""}`;
    },
  });
}

/**
 * Text; `error` is the message for anything else. A file that has a name without quotes which is a number or a flag to YAML
 * gets advice: what was written, such as 007 or 1e5, cannot be told from the number.
 */
export const text = (error: string) =>
  zod().string({
    error: ({ input }) =>
      typeof input === "number" || typeof input === "boolean"
        ? `is the ${typeof input === "number" ? "number" : "flag"} ${input}: put it in quotes`
        : error,
  });

/** yes and no are text in YAML 1.2 and were truth values in YAML 1.1, so they are named in the error and not guessed. */
export const flag = () =>
  zod().boolean({
    error: ({ input }) => {
      const written = typeof input === "string" ? input.toLowerCase() : "";
      const meant = ["yes", "y", "on", "true"].includes(written)
        ? "true"
        : ["no", "n", "off", "false"].includes(written)
          ? "false"
          : "";
      return meant ? `must be true or false: ${input} is text, write ${meant}` : "must be true or false";
    },
  });
export const path = () =>
  text("must be a path")
    .min(1, { error: "must not be empty" })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: "C:\new" in double quotes has a line break in it
    .refine((text) => !/[\u0000-\u001f]/.test(text), {
      error: "must be a path: in double quotes a backslash begins an escape, so write / or single quotes",
    });

export type Plain<S extends Setting> = S extends ChoiceSetting
  ? z.ZodEnum<{ [Name in S["choices"][number]]: Name }>
  : S extends FlagSetting
    ? z.ZodBoolean
    : z.ZodNumber;
type Field<S extends Setting> = z.ZodDefault<null extends S["default"] ? z.ZodNullable<Plain<S>> : Plain<S>>;

/** A choice; where "on" and "off" are among the names, true and false mean these. */
function switchable(names: ChoiceSetting["choices"]) {
  if (!names.includes("on")) return choice(names);
  return zod().preprocess((value) => (typeof value === "boolean" ? (value ? "on" : "off") : value), choice(names));
}

/** What a setting may be, without its default. */
export function plain<const S extends Setting>(known: S): Plain<S> {
  const kind = "choices" in known ? switchable(known.choices) : known.type === "boolean" ? flag() : bounded(known);
  return kind as unknown as Plain<S>;
}

/** A setting that the engine knows too: its range and default are those of lib/settings/. */
export function setting<const S extends Setting>(known: S): Field<S> {
  const kind: z.ZodType = known.default === null ? plain(known).nullable() : plain(known);
  // JSON Schema has no place for the default of what is converted, other than before the conversion.
  const converted = kind.type === "pipe";
  return (converted ? kind.prefault(known.default) : kind.default(known.default)) as unknown as Field<S>;
}

type Fields<S> = { [Name in keyof S]: S[Name] extends Setting ? Field<S[Name]> : never };

/** All settings of a group that describe themselves, such as those of a loss. */
export function described<const S extends Record<string, DescribedNumber>>(group: S): Fields<S> {
  const fields = Object.entries(group).map(([name, known]) => [name, setting(known).describe(known.description)]);
  return Object.fromEntries(fields) as Fields<S>;
}
