/**
 * JSON Schema of the configuration files, for editors: made from the schemas that check them, with the snake_case names of
 * files.
 */

import { snakeCase } from "../spelling.js";
import { experimentSchema } from "./experiment.js";
import { zod } from "./fields.js";
import { inFileSpelling } from "./fileSpelling.js";
import { spaceSchema } from "./space.js";

export type JsonSchema = Record<string, unknown>;

/** The kinds of files: a run, and the space of a search. */
export const schemaNames = ["experiment", "space"] as const;
export type SchemaName = (typeof schemaNames)[number];

const titles = {
  experiment: "A training run of cellsam-train. Keys may be written in camelCase too; this schema has the snake_case form.",
  space: "The settings that a hyper-parameter search of cellsam-train varies; an unset one keeps the run's own value.",
};

/** Keys that files may have besides the settings. */
const beside = {
  $schema: { type: "string", description: "This schema, for editors." },
  environment: { type: "object", description: "Written by a run: version, device and system. Not a setting." },
};

/** The schema of a kind of file (draft 7). */
export function configSchema(name: SchemaName): JsonSchema {
  const { $schema, ...schema } = zod().toJSONSchema(name === "experiment" ? experimentSchema() : spaceSchema(), {
    io: "input",
    target: "draft-7",
  });
  const snake = renamed(schema) as JsonSchema & { properties: JsonSchema };
  return { $schema, title: titles[name], ...snake, properties: { ...beside, ...snake.properties } };
}

/** The schema with settings in snake_case: the names in `properties`, `required` and descriptions, at every depth. */
function renamed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(renamed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => {
      if (key === "required") return [key, (entry as string[]).map(snakeCase)];
      if (key === "description" && typeof entry === "string") return [key, inFileSpelling(entry)];
      if (key !== "properties") return [key, renamed(entry)];
      return [
        key,
        Object.fromEntries(Object.entries(entry as object).map(([name, field]) => [snakeCase(name), renamed(field)])),
      ];
    }),
  );
}
