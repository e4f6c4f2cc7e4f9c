/** Applies settings of the form `key.path=value` to a configuration, as the command line has them. */
import type { z } from "zod";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";
import { experimentSchema } from "./experiment.js";
import { zod } from "./fields.js";
import { type RawConfig, setAt, stepsOf } from "./load.js";
import { fieldAt } from "./parse.js";

const yaml = lazily<typeof import("yaml")>("yaml");

/**
 * Applies settings such as `stage1_config.learning_rate=1e-3`; values are YAML scalars or lists. Where a setting is text, such as
 * a name or a path, `2024` and `007` are text too.
 * @throws CellsamError ERR_CONFIG
 */
export function applySettings(config: RawConfig, settings: readonly string[]): void {
  for (const setting of settings) {
    const at = setting.indexOf("=");
    if (at < 1) throw new CellsamError("ERR_CONFIG", `${setting}: expected key=value`);
    const path = setting.slice(0, at).trim();
    setAt(config, path, parsed(path, setting.slice(at + 1)));
  }
}

function parsed(path: string, text: string): unknown {
  const field = fieldAt(experimentSchema(), stepsOf(path));
  const own = text.trim();
  // In quotes or null it is YAML; everything else is the text as it stands, also with a # or a colon.
  if (field instanceof zod().ZodString && !/^(["'].*|null|~)?$/.test(own)) return own;
  try {
    const listOfText = field instanceof zod().ZodArray && isText(field.element as z.ZodType);
    const value: unknown = yaml().parse(text);
    // In the failsafe schema every scalar is text.
    return listOfText && Array.isArray(value) ? yaml().parse(text, { schema: "failsafe" }) : value;
  } catch (cause) {
    const reason = (cause as Error).message.split("\n")[0];
    throw new CellsamError("ERR_CONFIG", `${path}: ${own} is neither a value nor a list (${reason})`, { cause });
  }
}

function isText(schema: z.ZodType): boolean {
  return schema instanceof zod().ZodString;
}
