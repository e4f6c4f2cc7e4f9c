/** Messages and descriptions for readers of files and of the command line, where settings are in snake_case. */
import type { z } from "zod";
import { once } from "../lazily.js";
import { snakeCase } from "../spelling.js";
import { experimentSchema } from "./experiment.js";
import { knownKeys } from "./parse.js";
import { searchSchema } from "./search.js";
import { spaceSchema } from "./space.js";

/** All names of settings in camelCase, of groups and in groups. */
const names = once(() => {
  const found = new Set<string>();
  const add = (schema: z.ZodType, path: readonly string[] = []) => {
    for (const key of knownKeys(schema, path)) {
      found.add(key);
      add(schema, [...path, key]);
    }
  };
  for (const schema of [experimentSchema(), spaceSchema(), searchSchema().in]) add(schema);
  return found;
});

/** The text with its settings as files have them: tileSize becomes tile_size, in words and not in paths. */
export function inFileSpelling(text: string): string {
  const snake = text.replace(/(?<![\w/\\-])[a-z]+[0-9]*(?:[A-Z][a-z0-9]*)+(?!\w)/g, (word) =>
    names().has(word) ? snakeCase(word) : word,
  );
  // Messages that give both spellings name one twice now.
  return snake.replace(/(\w+)(:?.*?) \(\1 in files\)/g, "$1$2");
}
